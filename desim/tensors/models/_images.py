"""What image models ask of the data."""

from desim.errors import ScenarioError
from desim.tensors.datasets.base import Shape


def image_shape(kind: str, shape: Shape, least: int) -> tuple[int, int, int]:
    """Channels, height and width of images.

    Args:
        kind: the model's, for the message.
        shape: of the data.
        least: the smallest height and width that the model can take, in pixels.

    Raises:
        ScenarioError: the inputs are no images (channels, height, width), or too small.
    """
    if len(shape.inputs) != 3 or min(shape.inputs[1:]) < least:
        found = " x ".join(map(str, shape.inputs))
        raise ScenarioError(
            f"problem.model = {kind!r}: needs images (channels, height, width) of at least "
            f"{least} x {least} pixels, the data set's inputs are {found}; image data sets keep "
            "their shape with flatten = false"
        )
    channels, height, width = shape.inputs
    return channels, height, width
