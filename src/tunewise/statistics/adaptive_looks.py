"""How strict each look is at rows that are looked at again and again, by who learns from it.

Each look says yes or no, nothing else. Who is told so little can go only so many ways: the model
submitted at a look depends on the rows through the yes and no before alone. One error rate is
shared among all looks of all such ways (the argument of Blum and Hardt 2015, arXiv:1502.04585, for
the Ladder), so that it holds however models are chosen.
"""

from collections.abc import Sequence

GATE_ERROR = 0.05
"""The chance, over all looks at the same rows, that any model passes that should not."""


def look_error(passed: Sequence[bool]) -> float:
    """The error rate that the next look may have.

    Look k has GATE_ERROR / (k (k + 1)) times the chance of what was told before, by the code of
    Krichevsky and Trofimov (1981), for which all ways of k looks sum to 1: yes after s of n yes has
    (s + 1/2) / (n + 1). Looks that end alike stay cheap, whatever their end: the tenth has a
    590th of the whole after nine alike, a 200,000th after five of one kind and four of the other.

    Args:
        passed: what earlier looks said, in any order.
    """
    chance, yes = 1.0, 0
    for told, one in enumerate(passed):
        alike = yes if one else told - yes
        chance *= (alike + 0.5) / (told + 1.0)
        yes += one
    looks = len(passed) + 1
    return GATE_ERROR * chance / (looks * (looks + 1))
