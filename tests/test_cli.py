"""The command line's answers: exit codes, one clear error on standard error, no traceback."""

import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from scipy.io import wavfile

import emgsim
from emgsim.cli import main
from emgsim.files.findings import write_findings
from emgsim.recording import Event, Findings, FoundRun, FoundUnit

COMMANDS = [
    "run", "simulate", "analyse", "conclude", "compare", "list", "rig list", "rig check",
    "rig serve", "diff", "runs list", "runs prune", "campaign run", "campaign report",
]
ROOT = Path(emgsim.__file__).parents[1]


pytestmark = pytest.mark.usefixtures("own_signals")


@pytest.fixture
def silence(tmp_path: Path) -> Path:
    """Write a recording without truth."""
    path = tmp_path / "silence.npz"
    np.savez(path, samples_uv=np.zeros((100, 1)), rate_hz=48_000.0)
    return path


@pytest.mark.parametrize("words", [[], ["--help"], *([*c.split(), "--help"] for c in COMMANDS)])
def test_help_goes_to_standard_output(words, capsys):
    """Every command explains itself with exit code 0."""
    assert main(words) == 0
    told = capsys.readouterr()
    assert "Usage: emgsim" in told.out
    assert not told.err


def test_the_version_is_the_packages(capsys):
    """The version comes from the installed metadata."""
    from importlib.metadata import version

    assert main(["--version"]) == 0
    assert capsys.readouterr().out.strip() == version("emgsim")


MISUSE = [
    ("frobnicate", 2, 'Unknown command "frobnicate"'),
    ("rig frobnicate", 2, "frobnicate"),
    ("run", 2, "scenario"),
    ("run a b", 2, "b"),
    ("run healthy_biceps --sed 1", 2, "--sed"),
    ("run healthy_biceps --seed one", 2, '"one"'),
    ("run nowhere.toml", 3, "scenario file not found"),
    ("run helthy_biceps", 3, "did you mean 'healthy_biceps'?"),
    ("run hd_tibialis_anterior", 3, "one channel, and the surface_grid electrode has 64"),
    ("run healthy_biceps --rig virtul", 3, "did you mean 'virtual'?"),
    ("run healthy_biceps --rig no/rig.toml", 3, "rig file not found"),
    ("run healthy_biceps --set acquisition.rate_hzz=1", 3, "did you mean 'rate_hz'?"),
    ("run healthy_biceps --set acquisition.rate_hz=1", 3, "greater than or equal to 2000, got 1"),
    ("run healthy_biceps --set rig.limits.max_on=1", 3, "did you mean 'max_on_s'?"),
    ("run healthy_biceps --set nonsense", 2, "--set needs key.path=value, got 'nonsense'"),
    ("run healthy_biceps --set id.x=1", 2, "'id' is not a table"),
    ("simulate healthy_biceps", 2, "--output"),
    ("simulate healthy_biceps -o {tmp}/x.wav", 2, "-o must end in .npz, got 'x.wav'"),
    ("simulate nowhere -o {tmp}/x.npz", 3, "'nowhere' is neither a file nor a shipped name"),
    ("simulate healthy_biceps -o {tmp}/x.npz --rate-hz 10", 3, "acquisition.rate_hz"),
    ("simulate healthy_biceps -o {tmp}/x.npz --set sed=1", 3, "did you mean 'seed'?"),
    ("simulate healthy_biceps -o {tmp}/x.npz --set seed=-1", 3, "seed: input should be greater"),
    ("analyse", 2, "recording"),
    ("analyse {tmp}/no.npz", 3, "No such file"),
    ("analyse {tmp}", 3, "directory"),
    ("analyse {silence} --plan {tmp}/no.toml", 3, "cannot read the file"),
    ("analyse {silence} --channel x", 3, "no channel is called 'x'; there is 'channel 1'"),
    ("analyse {silence} --scale 2", 3, "a scale would contradict it"),
    ("analyse {silence} --scale 0", 2, "--scale"),
    ("analyse {sound}", 3, "--scale UV_PER_UNIT"),
    ("analyse {edf} --channel Force", 3, "the unit of 'Force' is 'N', no voltage"),
    ("runs list --out {tmp}/no", 3, "no such folder of runs"),
    ("runs prune --out {tmp}", 2, "--keep"),
    ("runs prune --keep 0 --out {tmp}", 2, "--keep must be at least 1, got 0"),
    ("runs prune --keep 1 --max-gb 0 --out {tmp}", 2, "--max-gb must be > 0, got 0"),
    ("diff {tmp}", 2, "new"),
    ("diff {tmp} {tmp}", 3, "cannot read the journal"),
    ("run --resume {tmp}/no", 3, "cannot read the journal"),
    ("run healthy_biceps --resume {tmp}", 2, "it cannot take SCENARIO"),
    ("run healthy_biceps --prepare no_such", 2, "begins with no program"),
    ("run healthy_biceps --prepare true --prepare-timeout-s 0", 2, "--prepare-timeout-s"),
    ("run healthy_biceps --detector no_such", 2, "neither a detector nor a program"),
    ("run healthy_biceps --detector-timeout-s 0", 2, "--detector-timeout-s"),
    ("compare {silence}", 2, "recording"),
    ("compare {tmp}/no.json {tmp}/no.npz", 3, "No such file"),
    ("compare {tmp}/no.json {silence}", 3, "no truth"),
    ("list planets", 2, '"planets"'),
    ("rig check virtul", 3, "did you mean 'virtual'?"),
    ("rig check --set limits.max_on_s=-1", 3, "limits.max_on_s"),
    ("rig check --set source.driver=keysigt.33500", 3, "did you mean 'keysight.33500'?"),
    ("rig serve nowhere.toml", 3, "rig file not found"),
    ("rig check {tmp}/bench.toml", 5, "is not armed"),
    ("rig serve {tmp}/bench.toml", 2, "only virtual rigs can be served"),
    ("run healthy_biceps --rig {tmp}/bench.toml", 5, "is not armed"),
]
INTERNAL = [
    ("simulate healthy_biceps -o {tmp}/x.npz --seed -1 --duration-s 2.6", 2, "seed"),
    ("simulate healthy_biceps -o {silence}/x.npz --duration-s 2.6", 2, "x.npz"),
    ("rig serve --seed -1", 2, "seed"),
    ("rig check --set source.resource=virtual:nothing", 3, "virtual:nothing"),
]


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        *MISUSE,
        *INTERNAL,
    ],
)
def test_a_misuse_is_one_clear_error(words, *, code, said, tmp_path, silence, capsys, monkeypatch):
    """The right exit code; what is wrong and what to do on standard error; nothing else."""
    bench = (ROOT / "rigs" / "virtual.toml").read_text("utf-8").replace('"virtual:', '"real:')
    bench = bench.replace('kind = "virtual"', 'kind = "bench"').replace('id = "virtual"',
                                                                         'id = "lab-2"')
    (tmp_path / "bench.toml").write_text(bench, "utf-8")
    monkeypatch.chdir(tmp_path)
    edf = ROOT / "tests" / "files" / "data" / "pyedflib.edf"
    sound = tmp_path / "sound.wav"
    wavfile.write(sound, 8000, np.zeros(10, np.int16))
    files = {"tmp": tmp_path, "silence": silence, "sound": sound, "edf": edf}
    filled = [word.format_map(files) for word in words.split()]
    assert main(filled) == code
    told = capsys.readouterr()
    assert told.err.lstrip().splitlines()[-1].strip()
    assert "error: " in told.err
    assert said in told.err
    assert "internal error" not in told.err
    assert "Traceback" not in told.err + told.out
    assert not told.out
    assert not (tmp_path / "x.npz").exists()


def test_all_mistakes_of_a_scenario_are_named_at_once(tmp_path, capsys):
    """Three wrong values give three lines, each with its path."""
    wrong = ["--set", "acquisition.rate_hzz=1", "--set", "electrode.tip.x_mm=a",
             "--set", "phases=[]"]
    assert main(["simulate", "healthy_biceps", "-o", str(tmp_path / "x.npz"), *wrong]) == 3
    told = capsys.readouterr().err
    assert "3 mistakes:" in told
    for path in ("acquisition.rate_hzz", "electrode.tip.x_mm", "phases"):
        assert f"  - {path}: " in told


def test_debug_gives_the_traceback(capsys):
    """With --debug, wherever it stands, the traceback is shown and the exit code is the same."""
    for words in (["--debug", "rig", "check", "virtul"], ["rig", "check", "virtul", "--debug"]):
        assert main(words) == 3
        assert "Traceback" in capsys.readouterr().err


def test_an_unforeseen_error_is_said_to_be_ours(monkeypatch, capsys):
    """A bug shows its class and asks for a report; with --debug it is raised."""

    def broken(_: str) -> list[str]:
        raise ZeroDivisionError("planted")

    monkeypatch.setattr("emgsim.shipped.names", broken)
    assert main(["list"]) == 1
    told = capsys.readouterr().err
    assert "internal error: ZeroDivisionError: planted" in told
    assert "--debug" in told
    assert "Traceback" not in told
    with pytest.raises(ZeroDivisionError):
        main(["list", "--debug"])


def test_ctrl_c_is_130(monkeypatch, capsys):
    """An interrupted command says so in one word."""

    def interrupted(_: str) -> list[str]:
        raise KeyboardInterrupt

    monkeypatch.setattr("emgsim.shipped.names", interrupted)
    assert main(["list"]) == 130
    assert capsys.readouterr().err == "interrupted\n"


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("scenarios", ["healthy_biceps"]),
        ("rigs", ["virtual"]),
        ("devices", ["na1"]),
        ("detectors", ["emgsim"]),
        ("drivers", ["keysight.33500", "keysight.infiniivision", "serial.frames"]),
        ("muscles", ["biceps_brachii"]),
        ("electrodes", ["concentric_facial", "macro"]),
        ("conditions", ["axonal_loss", "myopathy"]),
        ("activities", ["fibrillation", "trigger_point"]),
        ("artefacts", ["mains", "adc"]),
    ],
)
def test_lists_show_what_is_shipped(kind, expected, capsys):
    """Each kind has a line per name, sorted within its role."""
    assert main(["list", kind]) == 0
    names = [line.split()[0] for line in capsys.readouterr().out.splitlines()]
    assert set(expected) <= set(names)
    assert all(names)


def test_rig_list_is_list_rigs_and_list_drivers(capsys):
    """Two ways to the same lists."""
    assert main(["rig", "list"]) == 0
    one = capsys.readouterr().out
    assert main(["list", "rigs"]) == 0
    rigs = capsys.readouterr().out
    assert main(["list", "drivers"]) == 0
    assert one.startswith(rigs)
    assert one.endswith(capsys.readouterr().out)
    assert "Virtual needle-EMG bench" in one


def test_simulate_writes_a_recording_with_its_truth(tmp_path, capsys):
    """The line on standard output says what is in the file."""
    path = tmp_path / "short.npz"
    words = ["simulate", "healthy_biceps", "-o", str(path), "--duration-s", "2.6",
             "--rate-hz", "8000", "--seed", "3"]
    assert main(words) == 0
    out = capsys.readouterr().out
    assert out.startswith(f"{path}: 2.6 s at 8000 Hz, ")
    recording, truth = emgsim.read_npz(path)
    assert recording.samples_uv.shape == (20_800, 1)
    assert truth is not None
    assert f"{len(truth.units)} motor units" in out


def test_a_real_recording_is_analysed_and_compared_with_its_annotations(tmp_path, capsys):
    """Six seconds as 16-bit WFDB in millivolts, its largest unit annotated: that unit is found."""
    words = ["simulate", "healthy_biceps", "-o", str(tmp_path / "s.npz"), "--duration-s", "6",
             "--rate-hz", "16000", "--seed", "3"]
    assert main(words) == 0
    recording, truth = emgsim.read_npz(tmp_path / "s.npz")
    largest = max(truth.units, key=lambda unit: unit.peak_to_peak_uv)
    counts = np.rint(10 * recording.samples_uv[:, 0]).astype("<i2")
    (tmp_path / "r.dat").write_bytes(counts.tobytes())
    head = f"r 1 16000 {counts.size}\nr.dat 16 10000/mV 16 0 0 0 0 needle"
    (tmp_path / "r.hea").write_text(head)
    last, notes = 0, b""
    for place in np.rint(16000 * np.sort(largest.spike_times_s)).astype(int):
        skip = int(place - last).to_bytes(4, "little")
        notes += (59 << 10).to_bytes(2, "little") + skip[2:] + skip[:2]  # SKIP, the high word first
        notes += (22 << 10).to_bytes(2, "little") + (63 << 10 | 4).to_bytes(2, "little") + b"MU 7"
        last = place
    (tmp_path / "r.atr").write_bytes(notes + bytes(2))
    capsys.readouterr()
    assert main(["analyse", str(tmp_path / "r.hea"), "-o", str(tmp_path / "f.json")]) == 0
    assert "sampled at 16000 Hz" in capsys.readouterr().err
    assert main(["compare", str(tmp_path / "f.json"), str(tmp_path / "r.dat")]) == 0
    row = capsys.readouterr().out.splitlines()[1].split()
    assert row[0] == "7"
    assert float(row[2]) == pytest.approx(largest.peak_to_peak_uv, rel=0.3)
    assert float(row[7]) > 0.9


def concluded(tmp_path: Path, capsys, *, kind: str) -> dict[str, list[str]]:
    """Return each axis's words for three normal MUAPs and a run at rest."""
    measures = {"amplitude_uv": 430.0, "duration_ms": 9.1, "phases": 3.0, "rise_time_us": 300.0}
    units = tuple(
        FoundUnit(id=k, discharge_times_s=np.arange(20.0), muap_uv=np.zeros((1, 1)),
                  muap_start_s=0.0, measures=measures)
        for k in range(1, 13)
    )
    run = FoundRun(kind=kind, onset_s=0.0, offset_s=4.0, discharge_times_s=np.arange(40) / 10,
                   potential_uv=np.zeros((1, 1)), potential_start_s=0.0)
    rest = Event(kind="rest", onset_s=0.0, offset_s=5.0)
    path = tmp_path / "findings.json"
    write_findings(path, Findings(units=units, runs=(run,), events=(rest,)))
    assert main(["conclude", "biceps_brachii", str(path), "--no-strongest"]) == 0
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    return {line[0]: line[1:] for line in lines}


def test_conclude_says_each_axis_with_its_probability(tmp_path, capsys):
    """Normal MUAPs are normal; fibrillations are denervation, and myotonic runs are not."""
    told = concluded(tmp_path, capsys, kind="fibrillation")
    assert told["muap_type"][0] == "normal"
    assert 0.5 < float(told["muap_type"][1]) <= 1
    assert told["active_denervation"][0] == "yes"
    told = concluded(tmp_path, capsys, kind="myotonic_discharge")
    assert told["active_denervation"][0] == "no"
    assert told["special_discharges"][0] == "myotonia"


def test_conclude_names_the_nearest_muscle(tmp_path, capsys):
    """A muscle without reference values is an invalid input."""
    path = tmp_path / "findings.json"
    write_findings(path, Findings(units=()))
    assert main(["conclude", "biceps", str(path)]) == 3
    assert "did you mean 'biceps_brachii'" in capsys.readouterr().err


def test_rig_check_names_all_three_and_drives_nothing(capsys):
    """The three identities, the generator's limits, and the state that it is left in."""
    assert main(["rig", "check"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines[:3]] == ["source", "capture", "device"]
    assert "EMGSIM,NA-1," in lines[2]
    assert lines[-1] == "all answer; the output is off"


def test_a_silent_generator_is_exit_code_4(capsys):
    """A rig that does not answer is named with its address."""
    words = ["rig", "check", "--set", "faults.source_silent=true", "--set", "link_timeout_s=0.5"]
    assert main(words) == 4
    told = capsys.readouterr().err
    assert "TCPIP::127.0.0.1::" in told
    assert "Traceback" not in told


def serve(folder: Path) -> "subprocess.Popen[str]":
    """Start ``emgsim rig serve``."""
    return subprocess.Popen(
        [sys.executable, "-m", "emgsim", "rig", "serve"], stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, text=True, cwd=folder,
        env=os.environ | {"PYTHONPATH": str(ROOT), "TMPDIR": str(folder)})


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM"])
def test_rig_serve_prints_three_addresses_and_ends_on_a_signal(tmp_path, name):
    """The addresses answer while it runs; a signal ends it with 0 and nothing is left."""
    with serve(tmp_path) as process:
        try:
            assert process.stdout is not None
            lines = [process.stdout.readline().strip() for _ in range(3)]
            assert lines[0].startswith("TCPIP::127.0.0.1::hislip0,")
            assert lines[1].startswith("TCPIP::127.0.0.1::hislip0,")
            assert Path(lines[2]).is_char_device()
            born_ns = Path(lines[2]).stat().st_ctime_ns
            wait_until_asleep(process.pid)
            process.send_signal(getattr(signal, name))
            out, err = process.communicate(timeout=20)
        finally:
            process.kill()
    assert (process.returncode, out, err) == (0, "", "")
    with suppress(FileNotFoundError):  # the number may have been given to another one since
        assert Path(lines[2]).stat().st_ctime_ns != born_ns
    assert not list(tmp_path.iterdir())


def test_rig_serve_is_ready_for_its_end_when_it_has_printed(tmp_path):
    """Whoever has read the third line may end the server at once: every thread can bear it."""
    with serve(tmp_path) as process:
        try:
            assert process.stdout is not None
            for _ in range(3):
                process.stdout.readline()
            for task in Path(f"/proc/{process.pid}/task").iterdir():
                status = dict(line.split(":\t", 1) for line in
                              (task / "status").read_text().splitlines() if ":\t" in line)
                masks = int(status["SigCgt"], 16) | int(status["SigBlk"], 16)
                assert masks >> (signal.SIGTERM - 1) & 1, "a thread would die of SIGTERM"
        finally:
            process.stdout.close()
            process.kill()


def wait_until_asleep(pid: int) -> None:
    """Wait until the process has nothing more to do but to wait for a signal."""
    import time

    ends_s, asleep = time.monotonic() + 5, 0
    while asleep < 3 and time.monotonic() < ends_s:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        asleep = asleep + 1 if state == "S" else 0
        time.sleep(0.02)


def test_the_console_script_is_the_same_program(tmp_path):
    """``python -m emgsim`` ends with main's exit code, in any folder."""
    done = subprocess.run([sys.executable, "-m", "emgsim", "rig", "check", "virtul"],
                          capture_output=True, text=True, timeout=30, check=False, cwd=tmp_path,
                          env=os.environ | {"PYTHONPATH": str(ROOT)})
    assert done.returncode == 3
    assert not done.stdout
    assert done.stderr.startswith("error: rig 'virtul'")
    assert not list(tmp_path.iterdir())


def test_a_reader_that_leaves_ends_a_command_without_a_word():
    """`emgsim list | head -1`: no error is shown, and the exit code is that of SIGPIPE."""
    with subprocess.Popen(
        [sys.executable, "-m", "emgsim", "list", "muscles"], stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:  # fmt: skip
        process.stdout.close()
        told = process.stderr.read()
    assert (process.returncode, told) == (141, b"")
