"""A short run of the soak; `make soak` is the long one."""

from tests.soak import Result, check, soak


def test_live_goes_on_through_faults(tmp_path):
    result = soak(minutes=1.0, fault_every_s=10.0, folder=tmp_path)
    print(result.summary(), result.stderr)
    check(result)
    assert len(result.faults) >= 3
    growth = result.growth(warm_s=15)
    assert growth is not None and growth < 0.15


def test_a_run_that_ends_before_memory_is_warm_says_nothing_of_its_growth():
    assert Result(7.0, rss_mib=[[300.0] * 200, [310.0] * 120]).growth(warm_s=300) is None
    assert Result(30.0, rss_mib=[[300.0] * 200, [300.0] * 400 + [330.0] * 400]).growth(warm_s=300) > 0.09
