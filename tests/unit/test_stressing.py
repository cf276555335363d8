"""Made-up prices of a market that is worked by hand, and how people write them."""

from pathlib import Path

import pytest
from tests.support.handmarket import USD, address, market, situation

from tocsin.cli._market import amount, millionths, points, span
from tocsin.cli._shocks import request, scenarios
from tocsin.errors import UsageError
from tocsin.valuation.stressing import MOST_SCENARIOS, stressed

WETH_ADDRESS = "0x" + "01" * 20


def test_each_scenario_is_what_is_worked_out_by_hand_and_the_worst_is_the_one_with_most_bad_debt() -> None:
    found = stressed(situation(), [{}, {"WETH": -2_000}, {"WETH": -5_000}, {"USDC": 1_000}, {"WETH": 5_000}])
    assert [one.accounts for one in found.outcomes] == [2, 3, 4, 3, 1]
    # At 1,600: 1,550, 1,700 and 2,500 are owed by one ether each.
    fall = found.outcomes[1]
    assert (fall.shocks, fall.unsure) == ((("WETH", -2_000),), 0)
    assert (fall.collateral, fall.debt, fall.bad_debt) == (str(4_800 * USD), str(5_750 * USD), str(1_000 * USD))
    assert (found.worst, found.unjudged) == (2, 0)
    # At 1,000: all but who owes nothing, and dollars for dollars; the largest debt first.
    assert [one.account for one in found.fallen] == [address(at) for at in (1, 4, 3, 2)]
    assert (found.fallen[0].collateral, found.fallen[0].debt) == (str(10_000 * USD), str(10_000 * USD))


def test_an_asset_is_named_by_its_symbol_or_its_address_in_any_case() -> None:
    found = stressed(situation(), [{name: -2_000} for name in ("WETH", "weth", WETH_ADDRESS, WETH_ADDRESS.upper())])
    assert {one.accounts for one in found.outcomes} == {3}


def test_all_that_moves_moves_together_and_what_is_named_goes_its_own_way() -> None:
    found = stressed(situation(), [{"*": -5_000}, {"*": -5_000, "WETH": 0}, {"WETH": 0, "*": -5_000}])
    assert [one.accounts for one in found.outcomes] == [4, 2, 2]


def test_a_price_that_nobody_knows_makes_unsure_and_no_numbers() -> None:
    found = stressed(situation(market(None)), [{"USDC": -5_000}])
    assert (found.outcomes[0].unsure, found.unjudged) == (4, 4)
    assert found.outcomes[0].accounts == 0


@pytest.mark.parametrize(
    ("shocks", "why"),
    [
        ([], "0 scenarios: between 1 and"),
        ([{}] * (MOST_SCENARIOS + 1), "2001 scenarios"),
        ([{"LINK": -100}], "no asset of this market is called 'LINK'; there are usdc, weth"),
        ([{"WETH": -10_001}], "WETH: a price moves between -100% and"),
        ([{"WETH": 2_000_000}], "WETH: a price moves between -100% and"),
    ],
)
def test_what_is_no_scenario_of_the_market_is_refused(shocks: list[dict[str, int]], why: str) -> None:
    with pytest.raises(UsageError, match=why.replace("(", r"\(")):
        stressed(situation(), shocks)


# -- as people write them


def test_moves_are_per_cent_and_grids_have_both_ends() -> None:
    assert scenarios(["WETH=-20%"], []) == [{"WETH": -2_000}]
    assert scenarios(["WETH=-12.5 %"], []) == [{"WETH": -1_250}]
    assert [one["A"] for one in scenarios(["A=-10%..0%/5%"], [])] == [-1_000, -500, 0]
    assert [one["A"] for one in scenarios(["A=0%..-10%/4%"], [])] == [-1_000, -600, -200]
    assert len(scenarios(["A=-50%..0%"], [])) == 51


def test_moves_of_several_assets_make_every_combination() -> None:
    found = scenarios(["A=-10%..0%/10%", "*=-5%", "B=+1%..+2%/1%"], [])
    assert len(found) == 4
    assert {"A": -1_000, "*": -500, "B": 200} in found


def test_files_of_three_kinds_say_the_same(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text('[{"WETH": "-20%", "WBTC": "-10%"}, {"WETH": "5%"}]')
    (tmp_path / "a.csv").write_text("WETH,WBTC\n-20%,-10%\n5%,\n")
    (tmp_path / "a.toml").write_text('[[scenario]]\nWETH = "-20%"\nWBTC = "-10%"\n[[scenario]]\nWETH = "5%"\n')
    for name in ("a.json", "a.csv", "a.toml"):
        assert scenarios([], [tmp_path / name]) == [{"WETH": -2_000, "WBTC": -1_000}, {"WETH": 500}]
    assert len(scenarios(["A=1%"], [tmp_path / "a.json"])) == 3


@pytest.mark.parametrize(
    ("shock", "why"),
    [
        ("WETH", "write an asset and by how much"),
        ("=-5%", "write an asset and by how much"),
        ("WETH=-5", "'-5' is no per cent to the hundredth"),
        ("WETH=-5.123%", "is no per cent to the hundredth"),
        ("WETH=-101%", "no price falls by more than 100%"),
        ("WETH=-5%/1%", "a step goes with a range"),
        ("WETH=-5%..0%/0%", "a step is more than 0%"),
        ("WETH=-100%..+1000%/0.01%", "scenarios; 2000 can be run at once"),
    ],
)
def test_what_is_no_move_of_a_price_is_refused_with_its_place(shock: str, why: str) -> None:
    with pytest.raises(UsageError, match=why) as caught:
        scenarios([shock], [])
    assert "--shock" in str(caught.value)


def test_a_request_has_assets_once_and_fits_into_a_line() -> None:
    assert request([{"A": -1, "B": 2}, {"B": 3}]) == {"assets": ["A", "B"], "moves": [[-1, 2], [None, 3]]}
    with pytest.raises(UsageError, match="too many for one request"):
        request([{f"A{at}": -1_000 for at in range(10)}] * 2_000)


def test_what_is_no_file_of_scenarios_is_refused_with_its_place(tmp_path: Path) -> None:
    for text, why in (
        ("", "Expecting value"),
        ("{}", "no scenarios"),
        ("[]", "no scenarios"),
        ("[1]", "scenario 0: no object"),
        ("[{}]", "scenario 0: no object"),
        ('[{"A": -20}]', "scenario 0: A: by how much"),
        ('[{"A": "-20"}]', "scenario 0: A: '-20' is no per cent"),
    ):
        path = tmp_path / "a.json"
        path.write_text(text)
        with pytest.raises(UsageError, match=why) as caught:
            scenarios([], [path])
        assert str(path) in str(caught.value)
    with pytest.raises(UsageError, match="cannot be read: No such file"):
        scenarios([], [tmp_path / "none.json"])
    with pytest.raises(UsageError, match="A is given twice"):
        scenarios(["A=1%", "A=2%"], [])
    with pytest.raises(UsageError, match="say which prices move"):
        scenarios([], [])


def test_amounts_are_cut_and_never_rounded_up() -> None:
    assert amount("199999999999", 8, "USD") == "1,999.99 USD"
    assert amount("5", 8) == "0.00"
    assert amount("1234567", 0) == "1,234,567.00"
    assert [amount(odd, 8) for odd in (None, "-1", "x", 5)] == ["?"] * 4
    assert (millionths(941_176), millionths(1_999_999), millionths(None)) == ("0.9411", "1.9999", "-")
    assert (points(-2_000), points(1_250), points(0)) == ("-20%", "+12.5%", "+0%")
    assert [span(at) for at in (5, 300, 86_400, 200_000, None)] == ["5 s", "5 min", "24 h", "2 d", "-"]
