"""A real Prefect server, a served deployment, a run: the tiny study builds, and wrong parameters never start."""

import pytest

from flows import Dataset

from .server import Server, free_port


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """A server on SQLite that serves our deployments."""
    with Server(tmp_path_factory.mktemp("prefect")) as server:
        server.serve()
        yield server


def test_a_deployment_run_builds_a_dataset_and_shows_it(server, tiny, tmp_path):
    done = server.run("build-dataset/demo", f"study={tiny}", f"out={tmp_path / 'out'}")
    assert "Completed" in done.stdout, done.stdout + done.stderr
    assert len(Dataset.open(tmp_path / "out").manifest) == 2
    (run,) = server.ask("/flow_runs/filter", {})
    assert run["name"] == "tiny into out"
    assert set(run["tags"]) == {"lungtwin", "demo"}
    shown = {artifact["key"]: artifact for artifact in server.ask("/artifacts/filter", {})}
    kinds = {key: artifact["type"] for key, artifact in shown.items()}
    assert kinds["build-progress"] == "progress"
    assert kinds["dataset-images"] == "table"
    assert kinds["dataset-picture"] == "image"
    assert shown["build-progress"]["data"] == 100.0
    assert shown["dataset-picture"]["data"].startswith("data:image/png;base64,")
    assert "index.html" in shown["dataset-report"]["data"]
    told = [line["message"] for line in server.ask("/logs/filter", {"limit": 200})]
    assert "woman: 2 nodules, 2 images" in told
    assert "woman: projecting" in told


def test_serving_without_a_server_says_how_to_get_one():
    from prefect.settings import PREFECT_API_URL, temporary_settings

    from flows.prefect_skin import serve_presets

    url = f"http://127.0.0.1:{free_port()}/api"
    with temporary_settings({PREFECT_API_URL: url}), pytest.raises(ConnectionError) as refused:
        serve_presets("out")
    assert url in str(refused.value)
    assert "prefect server start" in str(refused.value)


def test_serving_creates_the_limit_of_gpu_cases(server):
    limit = server.ask("/v2/concurrency_limits/lungtwin-gpu")
    assert (limit["limit"], limit["active"]) == (1, True)


def test_a_wrong_parameter_is_refused_before_a_run_exists(server, tmp_path):
    done = server.run("build-dataset/demo", "backend=abacus", f"out={tmp_path / 'out'}")
    assert done.returncode != 0
    assert "backend" in done.stdout + done.stderr
    assert not (tmp_path / "out").exists()


def test_an_unknown_study_fails_before_any_work_and_is_not_tried_again(server, tmp_path):
    done = server.run("build-dataset/demo", "study=dmeo", f"out={tmp_path / 'out'}")
    assert done.returncode != 0 or "Failed" in done.stdout
    assert not (tmp_path / "out").exists()
