"""Section: the trait vectors that lie along the feature's decoder direction."""

from __future__ import annotations

from dashboard import formats
from dashboard.address import Address, with_parameters
from dashboard.components.elements import link, table
from dashboard.components.panels import empty
from dashboard.queries import Queries
from dashboard.questions.traits import Aligned, aligned_traits, defined
from dashboard.sections.section import Filling, Section

LISTED = 8


def layout(queries: Queries, feature: int, _asked: Address) -> Filling:
    """The traits whose vectors are closest, by method."""
    found = aligned_traits(queries, feature)
    if not found:
        there = "their vectors are not computed" if defined(queries) else "none is defined"
        sentence = f"No trait of this model has a vector where the SAE reads: {there}"
        return Filling(empty(sentence, "python -m precompute.extraction run --experiment demo"))
    rows = [
        [_trait(queries, one), one.method, formats.signed(one.cosine), formats.decimal(one.auc)]
        for one in found[:LISTED]
    ]
    return Filling(table(["Trait", "Method", "Cosine", "AUC"], rows, "Traits aligned with this feature", 2))


def _trait(queries: Queries, one: Aligned) -> object:
    parameters = {"trait": one.trait.key, "method": one.method, "site": one.site}
    href = queries.href(with_parameters("/traits", parameters))
    return link(one.trait.name, href, className="feature-link", title=f"Experiment {one.trait.experiment}")


SECTION = Section(
    anchor="traits",
    title="Traits aligned with this feature",
    place="left",
    steps=("directions",),
    explanation="Cosine of the decoder direction with each trait vector found at the site where the SAE "
    "reads in this very model; below 0 the feature points away from the trait. AUC is how well the vector "
    "sets the trait's sides apart on questions held out.",
    layout=layout,
    short="Traits",
)
