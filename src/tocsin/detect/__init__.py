"""Detectors: pure functions of a view and their own Params. One a file, Params and defaults beside it."""

from collections.abc import Mapping

from tocsin.detect import (
    beacon_el_offline,
    beacon_lag,
    beacon_mismatch,
    beacon_peers_low,
    beacon_syncing,
    beacon_unreachable,
    beacon_wrong_chain,
    chain_halt,
    chain_reorg,
    mempool_anomaly,
    node_balancer_skew,
    node_corrupt_header,
    node_depth_lost,
    node_errors,
    node_fork,
    node_lag,
    node_latency,
    node_peers_low,
    node_phantom_head,
    node_rate_limited,
    node_stale,
    node_syncing,
    node_unreachable,
    node_version_change,
    node_vulnerable,
    node_wrong_chain,
    node_ws_deaf,
    pool_blind,
    pool_monoculture,
    pool_quorum_lost,
    pool_split,
    self_config,
    self_detector_suspect,
    self_illegal_transition,
    self_loop_lag,
)
from tocsin.detect.base import ChainDetector, Detector, SelfDetector

CHAIN_DETECTORS: tuple[ChainDetector, ...] = (
    beacon_el_offline.DETECTOR,
    beacon_lag.DETECTOR,
    beacon_mismatch.DETECTOR,
    beacon_peers_low.DETECTOR,
    beacon_syncing.DETECTOR,
    beacon_unreachable.DETECTOR,
    beacon_wrong_chain.DETECTOR,
    chain_halt.DETECTOR,
    chain_reorg.DETECTOR,
    mempool_anomaly.DETECTOR,
    node_balancer_skew.DETECTOR,
    node_corrupt_header.DETECTOR,
    node_depth_lost.DETECTOR,
    node_errors.DETECTOR,
    node_fork.DETECTOR,
    node_lag.DETECTOR,
    node_latency.DETECTOR,
    node_peers_low.DETECTOR,
    node_phantom_head.DETECTOR,
    node_rate_limited.DETECTOR,
    node_stale.DETECTOR,
    node_syncing.DETECTOR,
    node_unreachable.DETECTOR,
    node_version_change.DETECTOR,
    node_vulnerable.DETECTOR,
    node_wrong_chain.DETECTOR,
    node_ws_deaf.DETECTOR,
    pool_blind.DETECTOR,
    pool_monoculture.DETECTOR,
    pool_quorum_lost.DETECTOR,
    pool_split.DETECTOR,
)
"""In the order in which they run and publish: by id."""

SELF_DETECTORS: tuple[SelfDetector, ...] = (
    self_config.DETECTOR,
    self_detector_suspect.DETECTOR,
    self_illegal_transition.DETECTOR,
    self_loop_lag.DETECTOR,
)

_ALL: tuple[Detector, ...] = (*CHAIN_DETECTORS, *SELF_DETECTORS)
REGISTRY: Mapping[str, Detector] = {detector.id: detector for detector in _ALL}

__all__ = ["CHAIN_DETECTORS", "REGISTRY", "SELF_DETECTORS", "ChainDetector", "Detector", "SelfDetector"]
