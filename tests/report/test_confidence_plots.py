import numpy as np

from ncd_jax.discovery.calibration import ConfidenceCurve, accuracy_by_confidence
from ncd_jax.report.confidence_plots import confidence_plot


def test_the_curve_with_its_counts():
    curve = ConfidenceCurve(np.array([0.3, 0.9]), np.array([0.25, 1.0]), np.array([40, 4]))
    figure = confidence_plot(curve)
    line = next(t for t in figure.data if t.name == "hidden classes")
    assert list(line.x) == [0.3, 0.9]
    assert list(line.y) == [0.25, 1.0]
    assert list(next(t for t in figure.data if t.name == "rows").y) == [40, 4]
    # Four rows that were all right leave much room below, none above.
    assert line.error_y.array[1] == 0
    assert line.error_y.arrayminus[1] > 0.3
    assert 0.05 < line.error_y.array[0] < 0.2


def test_one_row():
    figure = confidence_plot(accuracy_by_confidence([0.4], [True]))
    assert np.isfinite(figure.data[1].error_y.arrayminus).all()
