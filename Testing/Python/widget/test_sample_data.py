"""The sample is registered as Slicer requires, and a click gives thick slices. Nothing is downloaded here."""

from __future__ import annotations

import sys
import types
from typing import Any

import numpy as np
import pytest

from widget.helpers import volume_names


@pytest.fixture
def the_sample_data_module(a_slicer: Any, slicer_python: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Slicer's module: keeps what is registered, and "downloads" a small head, or nothing without a network."""
    module = types.ModuleType("SampleData")
    module.sources, module.titles, module.network = [], {}, True

    class SampleDataLogic:
        @staticmethod
        def registerCustomSampleDataCategory(category: str, title: str) -> None:
            module.titles[category] = title

        @staticmethod
        def registerCustomSampleDataSource(category: str, **fields: Any) -> None:
            module.sources.append(types.SimpleNamespace(category=category, **fields))

        def downloadFromSource(self, source: Any) -> list:
            if not module.network:
                return []
            array = (np.arange(13.0)[:, None, None] * 10 + np.zeros((13, 12, 10))).astype(np.int16)
            return [slicer_python.util.addVolumeFromArray(array, np.diag([1.0, 1.0, 1.3, 1.0]), source.nodeNames)]

    module.SampleDataLogic = SampleDataLogic
    monkeypatch.setitem(sys.modules, "SampleData", module)
    monkeypatch.setattr(slicer_python.util, "TESTING_DATA_URL", "https://data/", raising=False)
    return module


@pytest.fixture
def a_sample(the_module: Any, the_sample_data_module: Any) -> Any:
    the_module.sample_data.register()
    (source,) = the_sample_data_module.sources
    return source


def test_it_is_registered_with_an_address_that_fits_its_checksum(a_sample: Any, the_sample_data_module: Any):
    assert a_sample.uris.startswith("https://data/SHA256/")
    assert a_sample.checksums == "SHA256:" + a_sample.uris.rpartition("/")[2]
    assert the_sample_data_module.titles == {a_sample.category: "Medical Super-Resolution"}


def test_a_click_loads_the_head_as_measured_and_with_thick_slices(a_sample: Any, a_slicer: Any, slicer_python: Any):
    a_sample.customDownloader(a_sample)
    assert volume_names() == ["MRHead", "MRHead thick"]
    thick = slicer_python.util.getNode("MRHead thick")
    assert thick.GetSpacing() == pytest.approx((1, 1, 5.2))
    assert thick.GetOrigin() == pytest.approx((0, 0, 1.95))  # four slices at 0, 1.3, 2.6 and 3.9 mm
    values = slicer_python.util.arrayFromVolume(thick)
    assert (values.shape, values.dtype) == ((3, 12, 10), np.int16)
    assert values[1, 0, 0] == 55  # the mean of 40, 50, 60 and 70, and a little of their neighbors on both sides
    display, of_head = thick.GetDisplayNode(), slicer_python.util.getNode("MRHead").GetDisplayNode()
    assert (display.GetWindow(), display.GetLevel()) == (of_head.GetWindow(), of_head.GetLevel())
    assert a_slicer.applicationLogic().GetSelectionNode().GetActiveVolumeID() == thick.GetID()


def test_without_a_network_there_is_a_sentence(a_sample: Any, the_sample_data_module: Any, errors_shown: list[str]):
    the_sample_data_module.network = False
    a_sample.customDownloader(a_sample)
    assert errors_shown == ["The sample could not be downloaded; check the network and try again."]


def test_a_slicer_without_sample_data_starts_all_the_same(the_module: Any, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "SampleData", None)
    the_module.sample_data.register()
