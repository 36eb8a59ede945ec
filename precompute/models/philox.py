"""Random words by counters: a function of what they are for, of nothing that was drawn before.

Philox4x32-10 (Salmon, Moraes, Dror, Shaw: Parallel random numbers: as easy as 1, 2, 3. SC 2011), in integers,
so that neither the batch, nor the order of the work, nor the device changes a draw.
"""

from __future__ import annotations

from torch import Tensor

MULTIPLIERS = (0xD2511F53, 0xCD9E8D57)
WEYL = (0x9E3779B9, 0xBB67AE85)
ROUNDS = 10
WORD = 0xFFFFFFFF

Words = tuple[Tensor, Tensor, Tensor, Tensor]


def philox(counter: Words, key: tuple[int | Tensor, int | Tensor]) -> Words:
    """The four words of 32 bits of each counter and key, as int64 tensors that broadcast."""
    a, b, c, d = counter
    first, second = key
    for _ in range(ROUNDS):
        # The product of two words fills 64 bits: its sign bit is one of them, so the shift must be masked.
        low, high = a * MULTIPLIERS[0], c * MULTIPLIERS[1]
        a, b, c, d = (
            ((high >> 32) & WORD) ^ b ^ first,
            high & WORD,
            ((low >> 32) & WORD) ^ d ^ second,
            low & WORD,
        )
        first, second = (first + WEYL[0]) & WORD, (second + WEYL[1]) & WORD
    return a, b, c, d
