"""A frame in, a figure out: one theme, one colour for each method and for each kind of example."""
# ruff: noqa: F401 (the names that the room hands on)

from tis_utils.plots.bars import composition_bars, length_boxes, share_bars, stacked_bars, term_bars
from tis_utils.plots.display import Picture, show
from tis_utils.plots.heat_maps import grade_map, heat_maps, matrix_picture, transfer_map, white_spots
from tis_utils.plots.interactive import budget_browser, interactive, point_map, quantile_browser, sharpness_map
from tis_utils.plots.intervals import intervals
from tis_utils.plots.lines import best_lines, budget_curves, method_lines, option_curves, quantile_curves, ratio_panels
from tis_utils.plots.maps import depth_maps, heaps_of_sand, on_sphere, pick_maps, scene_map
from tis_utils.plots.ranks import rank_diagram
from tis_utils.plots.scatter import cost_scatter, fits, picked_strip, plane, scatter_fits
from tis_utils.plots.texts import ClaimTable, stages, token_strip
from tis_utils.plots.theme import GRADES, LOOKS, Look, fills, look, looks, style
