// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.19;

/// An interest rate model for Morpho Blue that remembers a rate and moves it with time: towards twice as much in ten
/// days while more than nine tenths are lent out, else towards half of it. What it says is of the whole time since the
/// market was updated, so that a second later it says something else.
contract MovingRate {
    struct Terms {
        address loan;
        address collateral;
        address oracle;
        address model;
        uint256 lltv;
    }

    struct Market {
        uint128 supplyAssets;
        uint128 supplyShares;
        uint128 borrowAssets;
        uint128 borrowShares;
        uint128 updated;
        uint128 fee;
    }

    uint256 private constant ONE = 1e18;
    uint256 private constant SPAN = 10 days;
    uint256 private constant FIRST = uint256(0.04e18) / 365 days;
    uint256 private constant MOST = uint256(2e18) / 365 days;

    mapping(bytes32 => uint256) public remembered;

    function borrowRateView(Terms memory terms, Market memory market) external view returns (uint256 rate) {
        (rate,) = _rates(keccak256(abi.encode(terms)), market);
    }

    function borrowRate(Terms memory terms, Market memory market) external returns (uint256 rate) {
        bytes32 id = keccak256(abi.encode(terms));
        (rate, remembered[id]) = _rates(id, market);
    }

    function _rates(bytes32 id, Market memory market) private view returns (uint256 rate, uint256 end) {
        uint256 begin = remembered[id] == 0 ? FIRST : remembered[id];
        uint256 elapsed = block.timestamp - market.updated;
        uint256 used = market.supplyAssets == 0 ? 0 : uint256(market.borrowAssets) * ONE / market.supplyAssets;
        end = used > ONE * 9 / 10 ? begin + begin * elapsed / SPAN : begin * SPAN / (SPAN + elapsed);
        if (end > MOST) end = MOST;
        rate = (begin + end) / 2 * (ONE / 4 + used) / ONE;
    }
}
