"""The layouts of the comparison: which volume is shown where, and in which plane."""

from __future__ import annotations

from dataclasses import dataclass
from xml.sax.saxutils import escape

import slicer

from MedicalSuperResolutionLib.translation import tr as _

_FIRST_LAYOUT = 61500  # Slicer keeps the numbers up to 100 for itself


@dataclass(frozen=True)
class Column:
    """The views of one volume: the singleton tag of the first, and the color of their title bars."""

    tag: str
    color: str

    @property
    def label(self) -> str:
        """The text of the title bars."""
        return (_("Before"), _("After"), _("Difference"))[COLUMNS.index(self)]


BEFORE, AFTER, DIFFERENCE = range(3)
COLUMNS = (
    Column("MedicalSuperResolutionBefore", "#5D8CAE"),
    Column("MedicalSuperResolutionAfter", "#6CA36C"),
    Column("MedicalSuperResolutionDifference", "#B0813F"),
)


@dataclass(frozen=True)
class Arrangement:
    """Views in rows and columns.

    Parameters
    ----------
    number
        Number of the layout in Slicer.
    columns
        How many of `COLUMNS` are shown.
    planes
        Anatomical plane of each row; None stands for the plane that the user chooses.
    is_stacked
        Whether the views of a row lie one above the other: the largest pictures of a slab that is wide and flat.
    """

    number: int
    columns: int
    planes: tuple[str | None, ...]
    is_stacked: bool = False

    @property
    def tags(self) -> list[list[str]]:
        """The singleton tags of the views, row by row."""
        return [
            [column.tag + (str(row + 1) if row else "") for column in COLUMNS[: self.columns]]
            for row in range(len(self.planes))
        ]

    @property
    def description(self) -> str:
        """The layout in XML, as Slicer's layout manager reads it."""
        rows = "".join(f"<item>{self._row(tags)}</item>" for tags in self.tags)
        return self._row(self.tags[0]) if len(self.planes) == 1 else f'<layout type="vertical">{rows}</layout>'

    def _row(self, tags: list[str]) -> str:
        views = "".join(
            f'<item><view class="vtkMRMLSliceNode" singletontag="{tag}">'
            '<property name="orientation" action="default">Axial</property>'
            f'<property name="viewlabel" action="default">{escape(column.label)}</property>'
            f'<property name="viewcolor" action="default">{column.color}</property>'
            "</view></item>"
            for tag, column in zip(tags, COLUMNS, strict=False)
        )
        return f'<layout type="{"vertical" if self.is_stacked else "horizontal"}">{views}</layout>'


ROW = Arrangement(_FIRST_LAYOUT + 1, 3, (None,))
TWO_PLANES = Arrangement(_FIRST_LAYOUT + 2, 2, ("Coronal", "Sagittal"))
ALL_PLANES = Arrangement(_FIRST_LAYOUT + 3, 3, ("Axial", "Coronal", "Sagittal"))
STACK = Arrangement(_FIRST_LAYOUT + 4, 3, (None,), is_stacked=True)
ARRANGEMENTS = (ROW, STACK, TWO_PLANES, ALL_PLANES)


def register(layout_node: slicer.vtkMRMLLayoutNode) -> None:
    """Make the layouts known to the application.

    Also needed when the module starts: a scene that was saved while comparing asks for one of them on loading.
    """
    for one in ARRANGEMENTS:
        if not layout_node.AddLayoutDescription(one.number, one.description):
            layout_node.SetLayoutDescription(one.number, one.description)


def arrangement_of(layout_node: slicer.vtkMRMLLayoutNode | None) -> Arrangement | None:
    """The arrangement on the screen; None where another layout is shown."""
    number = 0 if layout_node is None else layout_node.GetViewArrangement()
    return next((one for one in ARRANGEMENTS if one.number == number), None)
