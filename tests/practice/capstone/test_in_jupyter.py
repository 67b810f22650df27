"""As a user in JupyterLab has it: a real kernel, cells, and the files edited between them."""

import os

import nbformat
from jupyter_client.kernelspec import KernelSpecManager
from jupyter_client.manager import AsyncKernelManager
from nbclient import NotebookClient

from tests.chapters import texts

CELLS = (
    "from bnlab.practice import capstone",
    "capstone.begin(seed=1)",
    "capstone.check()",
    "capstone.name_bugs(1, 2, 3)",
    "capstone.questions()",
    "capstone.status()",
    "capstone.report()",
)


def test_an_hour_in_a_notebook(tmp_path):
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in CELLS])
    manager = AsyncKernelManager(kernel_name="python3", kernel_spec_manager=KernelSpecManager(kernel_dirs=[]))
    personal = {"BNLAB_DATA_DIR": f"{tmp_path}/data", "IPYTHONDIR": f"{tmp_path}/ipython"}
    client = NotebookClient(
        notebook,
        manager,
        timeout=60,
        extra_arguments=["--log-level=ERROR"],
        resources={"metadata": {"path": str(tmp_path)}},
    )
    with client.setup_kernel(env=os.environ | personal, cleanup_kc=True):
        for index, cell in enumerate(notebook.cells):
            client.execute_cell(cell, index)
            if index == 1:
                with (tmp_path / "capstone" / "1" / "batch_norm.py").open("a") as page:
                    page.write("\n\nclass BatchNorm(nn.BatchNorm2d):\n    pass\n")
    shown = [[text for output in cell.outputs for text in texts(output)] for cell in notebook.cells]
    said = dict(zip(CELLS, map("".join, shown), strict=True))
    assert f"{tmp_path}/capstone/1" in said["capstone.begin(seed=1)"]
    assert "It calls torch" in said["capstone.check()"]
    assert "Sealed: 3 of 3 lines." in said["capstone.name_bugs(1, 2, 3)"]
    assert "Question 4" in said["capstone.questions()"]
    assert "of 60 minutes left" in said["capstone.status()"]
    assert "<h1>Capstone, " in said["capstone.report()"]
    assert not [output for cell in notebook.cells for output in cell.outputs if output.output_type == "error"]
    assert not [output for cell in notebook.cells for output in cell.outputs if output.get("name") == "stderr"]
