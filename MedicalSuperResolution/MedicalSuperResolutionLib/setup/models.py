"""Installed models, their own factors and their detail models, read without torch."""

from pathlib import Path

from medical_super_resolution.errors import ModelError
from medical_super_resolution.inference.planning import Plan, check_own_factor
from medical_super_resolution.models import store
from medical_super_resolution.system.paths import is_file
from MedicalSuperResolutionLib.translation import tr as _


def installed_models() -> list[str]:
    """Names of the models that are shipped, then of those that were imported."""
    return [path.stem for path in store.installed()]


def check_installed(model: str) -> None:
    """Refuse the name of a model that is not installed; paths of files are accepted.

    Raises
    ------
    ModelError
        See above.
    """
    if model not in installed_models() and not is_file(Path(model)):
        raise ModelError(_("The model {model} is not installed; choose another one.").format(model=model))


def short_name(model: str) -> str:
    """The name of a model, given by name or path: a path may name a patient, and is cut in a narrow panel."""
    return store.file_of(model).stem


def own_factors(model: str) -> tuple[float, ...]:
    """The factors that a model, given by name or path, supports; empty for any, and where its file cannot be read."""
    try:
        config = store.read_header(store.file_of(model))["config"]
    except ModelError:  # the engine says so
        return ()
    factor = config.get("factor") if isinstance(config, dict) else None
    return (float(factor),) if isinstance(factor, int | float) else ()


def check_factor(model: str, planned: Plan) -> None:
    """Refuse what a model, given by name or path, does not support, in the words of the engine.

    Raises
    ------
    SettingsError
        See above.
    """
    check_own_factor(planned, short_name(model), own_factors(model))


def why_no_detail(model: str) -> str:
    """Why a model, given by name or path, supports only detail 0; empty if it has a detail model."""
    path = store.file_of(model)
    try:
        files = store.detail_files_of(path)
    except ModelError as problem:
        return str(problem)
    if not files:
        return _("The model {model} has no detail model, so it knows fidelity only.").format(model=path.stem)
    for file in files:
        if not is_file(file):
            return _("The file {file}, which the detail of the model {model} needs, is missing.").format(
                file=file.name, model=path.stem
            )
    return ""
