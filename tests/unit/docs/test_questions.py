"""What docs/metrics.md asks a Prometheus: each search by itself, also by the name of another one, and no NaN."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

PAGE = Path(__file__).parents[3] / "docs" / "metrics.md"
QUESTIONS = {
    question: query.replace("\\|", "|")
    for question, query in re.findall(r"^\| ([^|]+\?) \| `((?:\\\||[^`])+)`", PAGE.read_text(), re.MULTILINE)
}
# Of two searches of one name, what there is after a day; the pool "" is that of what no worker did.
COURSES = {
    'nas_workers{namespace="a", search="s", pool="gpu", state="busy"}': "2+0x1440",
    'nas_workers{namespace="a", search="s", pool="gpu", state="draining"}': "1+0x1440",
    'nas_workers{namespace="a", search="s", pool="gpu", state="silent"}': "5+0x1440",
    'nas_workers{namespace="a", search="s", pool="gpu", state="idle"}': "1+0x1440",
    'nas_workers{namespace="a", search="s", pool="", state="busy"}': "0+0x1440",
    'nas_workers{namespace="b", search="s", pool="gpu", state="busy"}': "1+0x1440",
    'nas_workers{namespace="b", search="s", pool="gpu", state="idle"}': "1+0x1440",
    'nas_device_seconds_total{namespace="a", search="s", pool="gpu"}': "0+60x1440",
    'nas_device_seconds_total{namespace="b", search="s", pool="gpu"}': "0+30x1440",
    'nas_worker_idle_seconds_sum{namespace="a", search="s", pool="gpu"}': "0+6x1440",
    'nas_worker_idle_seconds_count{namespace="a", search="s", pool="gpu"}': "0+3x1440",
    'nas_worker_idle_seconds_sum{namespace="a", search="s", pool=""}': "0+0x1440",
    'nas_worker_idle_seconds_count{namespace="a", search="s", pool=""}': "0+0x1440",
    'nas_trials_finished_total{namespace="a", search="s", pool="gpu"}': "0+2x1440",
    'nas_trials_finished_total{namespace="b", search="s", pool="gpu"}': "0+1x1440",
    'nas_search_trials{namespace="a", search="s", state="succeeded"}': "60+0x1440",
    'nas_search_trials{namespace="a", search="s", state="leased"}': "40+0x1440",
    'nas_search_trials{namespace="b", search="s", state="succeeded"}': "60+0x1440",
    'nas_search_budget_trials{namespace="a", search="s"}': "100+0x1440",
    'nas_search_budget_trials{namespace="b", search="s"}': "NaN+0x1440",  # unlimited
}
A, B = '{namespace="a", search="s"}', '{namespace="b", search="s"}'
A_GPU, B_GPU = '{namespace="a", search="s", pool="gpu"}', '{namespace="b", search="s", pool="gpu"}'
ANSWERS = {
    "Are the GPUs busy?": {A_GPU: 0.75, B_GPU: 0.5},
    "What do they cost?": {A_GPU: 24, B_GPU: 12},
    "How long do workers wait between trainings?": {A_GPU: 2},
    "How fast does it go?": {A: 120, B: 60},
    "How much of the budget is left?": {A: 0.4},
}


@pytest.mark.skipif(not shutil.which("promtool"), reason="promtool is not installed: apt-get install prometheus")
@pytest.mark.parametrize("question", ANSWERS)
def test_the_answer_is_of_each_search_and_pool(question: str, tmp_path: Path) -> None:
    answer = [{"labels": labels, "value": value} for labels, value in ANSWERS[question].items()]
    asked = {"expr": f"round({QUESTIONS[question]}, 0.001)", "eval_time": "1d", "exp_samples": answer}
    series = [{"series": name, "values": course} for name, course in COURSES.items()]
    test = {"interval": "1m", "input_series": series, "promql_expr_test": [asked]}
    file = tmp_path / "test.yaml"
    file.write_text(yaml.safe_dump({"tests": [test]}))
    done = subprocess.run(["promtool", "test", "rules", str(file)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
