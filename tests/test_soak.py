"""A short run of the soak; `make soak` is the long one."""

from tests.soak import check, soak


def test_live_goes_on_through_faults(tmp_path):
    result = soak(minutes=1.0, fault_every_s=10.0, folder=tmp_path)
    print(result.summary(), result.stderr)
    check(result)
    assert len(result.faults) >= 3
    assert result.growth(warm_s=15) < 0.15
