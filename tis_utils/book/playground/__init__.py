"""The selection playground: scenes computed here, replayed by a page."""

from tis_utils import hand_on

NAMES = {
    "tis_utils.book.playground.maps": "budget_grid",
    "tis_utils.book.playground.page": "Playground as_json payload pool_scene tours",
    "tis_utils.book.playground.scenes": "SIX Space Texts scene",
    "tis_utils.book.playground.still": "still_scene",
}
__getattr__ = hand_on(__name__, NAMES)
