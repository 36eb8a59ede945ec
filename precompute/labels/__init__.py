"""What people say of features: labels, notes and named sets, with every change kept."""
