"""Laws of the runtime: what the environment asks for, or a sentence; seeds that stay local."""

import os
import random
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from idvid import runtime
from idvid.errors import ModelError


def test_the_device_is_the_one_asked_for(monkeypatch):
    monkeypatch.setenv("IDVID_DEVICE", "cpu")
    assert runtime.device() == torch.device("cpu")
    monkeypatch.delenv("IDVID_DEVICE")
    assert runtime.device().type == ("cuda" if torch.cuda.is_available() else "cpu")


@pytest.mark.parametrize("asked", ["cuda:99", "gpu", "abc:def", "meta:cpu"])
def test_a_device_that_is_not_here_is_one_sentence(monkeypatch, asked):
    monkeypatch.setenv("IDVID_DEVICE", asked)
    with pytest.raises(ModelError, match=r"which this machine does not have; .*\.$"):
        runtime.device()


def test_the_cpu_computes_in_full_precision():
    assert runtime.dtype(torch.device("cpu")) == torch.float32


@pytest.mark.skipif(not Path("/proc/cpuinfo").exists(), reason="the kernel's own list of features")
def test_fast_bf16_is_what_the_processor_says():
    flags = set(
        re.findall(r"^(?:flags|Features)\s*:(.*)", Path("/proc/cpuinfo").read_text(), re.MULTILINE)[
            0
        ].split()
    )
    assert runtime.has_fast_bf16() == bool(flags & {"amx_bf16", "avx512_bf16", "bf16"})


def test_the_same_seed_gives_the_same_numbers_and_touches_nothing_global():
    before = (torch.get_rng_state(), random.getstate(), np.random.get_state()[1].copy())
    cpu = torch.device("cpu")
    first, again, other = (
        torch.randn(9, generator=runtime.generator(seed, cpu)) for seed in (3, 3, 4)
    )
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert torch.equal(torch.get_rng_state(), before[0])
    assert random.getstate() == before[1]
    assert np.array_equal(np.random.get_state()[1], before[2])


def test_threads_are_what_is_asked_for_or_what_this_process_may_use(monkeypatch):
    monkeypatch.setenv("IDVID_THREADS", "3")
    assert runtime.num_threads() == 3
    monkeypatch.delenv("IDVID_THREADS")
    assert 1 <= runtime.num_threads() <= os.cpu_count()


@pytest.mark.parametrize("asked", ["0", "-1", "two", "1.5", "٣", "9999", " "])
def test_a_senseless_thread_count_is_one_sentence(monkeypatch, asked):
    monkeypatch.setenv("IDVID_THREADS", asked)
    with pytest.raises(ModelError, match=r"from 1 to 1024\.$"):
        runtime.num_threads()


def test_peak_memory_grows_with_what_is_held():
    code = (
        "from idvid.runtime import peak_memory_bytes as peak; before = peak();"
        "held = b'x' * 200_000_000; print(peak() - before)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, timeout=60)
    assert 190_000_000 < int(done.stdout) < 260_000_000


def test_what_is_free_is_what_the_kernel_says(monkeypatch):
    monkeypatch.setenv("IDVID_DEVICE", "cpu")
    machine = runtime.this_machine()
    assert machine.gpu_free == ()
    assert 0 < machine.ram_free <= os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    assert (machine.cpu_precision == "bfloat16") == runtime.has_fast_bf16()


@pytest.mark.gpu
def test_what_is_free_on_the_gpus_is_what_cuda_says():
    free = runtime.this_machine().gpu_free
    assert len(free) == torch.cuda.device_count()
    assert free[0] == pytest.approx(torch.cuda.mem_get_info(0)[0], rel=0.1)
