// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {INousAnchor} from "../../src/INousAnchor.sol";
import {NousLedger} from "../../src/NousLedger.sol";
import {NaiveTree} from "./NaiveTree.sol";
import {SigningLog} from "./SigningLog.sol";

/// @title An honest log among adversaries, as calls in any order
/// @dev Honest actions must be accepted and hostile ones refused: a handler that sees the opposite reverts, which fails
///      the run. `model…` is what the contract must say after every call.
contract Adversaries is SigningLog {
    uint256 private constant LEAVES = 96;

    bytes32[] public leaves = NaiveTree.leavesOf(7, LEAVES);
    INousAnchor.SignedHead[] private _anchored;
    uint32 public modelEpoch;
    bool public modelClosed;
    bytes32 public modelChain;
    uint256 public now_ = START;

    constructor() {
        open();
        modelChain = log;
    }

    function contractAndLog() external view returns (INousAnchor, bytes32) {
        return (target, log);
    }

    function modelHead() external view returns (uint256 anchors, NousLedger.Checkpoint memory head) {
        anchors = _anchored.length;
        if (anchors != 0) head = _newest();
    }

    function anchoredSize(uint256 k) external view returns (uint256) {
        return _anchored[k].head.size;
    }

    // ------------------------------------------------------------------ honest

    function grow(uint256 by, uint256 wait) external {
        if (modelClosed || _size() == LEAVES) return;
        now_ += wait % 4000;
        vm.warp(now_);
        INousAnchor.SignedHead memory head = _honest(within(by, _size() + 1, _min(_size() + 9, LEAVES)), now_);
        submit(head, _proof(leaves, _size(), head.head.size));
        _accept(head);
    }

    /// @dev Another relayer sends an earlier head of the log first: the waiting transaction fails, a new proof succeeds.
    function frontRun(uint256 by) external {
        if (modelClosed || _size() + 2 > LEAVES) return;
        uint256 size = _size();
        INousAnchor.SignedHead memory head = _honest(within(by, size + 2, _min(size + 9, LEAVES)), now_);
        bytes32[] memory waiting = _proof(leaves, size, head.head.size);
        INousAnchor.SignedHead memory earlier = _honest(within(by >> 64, size + 1, head.head.size - 1), now_);
        submit(earlier, _proof(leaves, size, earlier.head.size));
        _accept(earlier);
        bytes32[] memory again = _proof(leaves, earlier.head.size, head.head.size);
        if (keccak256(abi.encode(waiting)) != keccak256(abi.encode(again))) _refused(head, waiting);
        submit(head, again);
        _accept(head);
    }

    function rotate(uint256 often) external {
        if (!_chance(often, 3) || modelClosed || modelEpoch == 62) return;
        ++modelEpoch;
        rotateTo(modelEpoch, commitment(privateKey(modelEpoch + 1)));
    }

    function close(uint256 seldom) external {
        if (!_chance(seldom, 25) || modelClosed) return;
        ++modelEpoch;
        rotateTo(modelEpoch, bytes32(0));
        modelClosed = true;
    }

    // ------------------------------------------------------------------ hostile

    function fork(uint256 changed, uint256 by, bool ownProof) external {
        if (_size() == 0 || _size() == LEAVES) return;
        bytes32[] memory forked = leaves;
        forked[changed % _size()] = keccak256(abi.encode(changed));
        uint256 size = within(by, _size() + 1, _min(_size() + 9, LEAVES));
        INousAnchor.SignedHead memory head = headOver(forked, size, modelEpoch, now_);
        _refused(head, _proof(ownProof ? forked : leaves, _size(), size));
    }

    function rollBack(uint256 to, uint256 proof) external {
        if (_size() == 0) return;
        uint256 size = within(to, 1, _size());
        _refused(_honest(size, now_), _proof(leaves, within(proof, 1, size), size));
    }

    function replay(uint256 which, uint256 proof) external {
        if (_size() == 0) return;
        INousAnchor.SignedHead memory head = _anchored[which % _anchored.length];
        _refused(head, _proof(leaves, within(proof, 1, head.head.size), head.head.size));
    }

    function foreignSigner(uint256 secret, uint256 by) external {
        if (_size() == LEAVES) return;
        uint256 size = within(by, _size() + 1, LEAVES);
        NousLedger.Checkpoint memory head = _honest(size, now_).head;
        secret = within(secret, 1, ORDER - 1);
        if (secret == privateKey(modelEpoch)) return;
        _refused(signed(head, secret), _proof(leaves, _size(), size));
    }

    function oldEpoch(uint256 epoch, uint256 by, bool relabelled) external {
        if (modelEpoch == 0 || _size() == LEAVES) return;
        uint32 old = uint32(epoch % modelEpoch);
        uint256 size = within(by, _size() + 1, LEAVES);
        INousAnchor.SignedHead memory head = headOver(leaves, size, old, now_);
        if (relabelled) {
            head.head.epoch = modelEpoch;
            head = signed(head.head, privateKey(old));
        }
        _refused(head, _proof(leaves, _size(), size));
    }

    function anotherTime(uint256 by, uint256 shift) external {
        if (_size() == LEAVES) return;
        uint256 size = within(by, _size() + 1, LEAVES);
        uint256 time = now_ + 301 + shift % 1e9;
        if (_size() != 0 && shift % 2 == 0) time = _newest().timestamp - 1 - shift % 1e6;
        _refused(headOver(leaves, size, modelEpoch, time), _proof(leaves, _size(), size));
    }

    function oldKeyRotates(uint256 epoch, bytes32 nextHash) external {
        uint32 signer = uint32(within(epoch, 0, modelEpoch));
        (uint8 v, bytes32 r, bytes32 s) = rotationBy(privateKey(signer), modelEpoch + 1, nextHash);
        bytes memory own = compressed(privateKey(signer));
        bytes memory committed = compressed(privateKey(modelEpoch + 1));
        _rotationRefused(own, nextHash, r, s, v);
        _rotationRefused(committed, nextHash, r, s, v);
    }

    function registerAgain() external {
        bytes memory key = compressed(privateKey(0));
        bytes32 nextHash = commitment(privateKey(1));
        (bool done,) = address(target).call(abi.encodeCall(INousAnchor.register, (ORIGIN, key, ED25519, nextHash)));
        isTrue("registered again", !done);
    }

    /// @dev All that the log signed is honest, so nothing of it may pass for a fork.
    function accuse(uint256 one, uint256 two, uint256 proof, bytes32 junk) external {
        if (_size() == 0) return;
        INousAnchor.SignedHead memory larger = _anchored[one % _anchored.length];
        INousAnchor.SignedHead memory smaller = _anchored[two % (one % _anchored.length + 1)];
        uint256 from = within(proof, 1, smaller.head.size);
        bytes32[3] memory prefixes = [NaiveTree.root(leaves, 0, from), larger.head.root, junk];
        for (uint256 k = 0; k < 3; ++k) {
            _accusationRefused(smaller, larger, prefixes[k], _proof(leaves, from, larger.head.size));
            _accusationRefused(smaller, larger, prefixes[k], _proof(leaves, smaller.head.size, larger.head.size));
        }
    }

    function _accusationRefused(
        INousAnchor.SignedHead memory smaller,
        INousAnchor.SignedHead memory larger,
        bytes32 prefix,
        bytes32[] memory proof
    ) private {
        bytes memory call = abi.encodeCall(INousAnchor.reportFork, (smaller, larger, prefix, proof));
        (bool done,) = address(target).call(call);
        isTrue("an honest log was reported", !done);
    }

    function _rotationRefused(bytes memory key, bytes32 nextHash, bytes32 r, bytes32 s, uint8 v) private {
        bytes memory call = abi.encodeCall(INousAnchor.rotate, (log, modelEpoch + 1, key, nextHash, r, s, v));
        (bool done,) = address(target).call(call);
        isTrue("a key rotated that was not committed to", !done);
    }

    function _refused(INousAnchor.SignedHead memory head, bytes32[] memory proof) private {
        bytes memory call = abi.encodeCall(INousAnchor.anchor, (head.head, head.r, head.s, head.v, proof));
        (bool done,) = address(target).call(call);
        isTrue("a hostile head was anchored", !done);
    }

    function _accept(INousAnchor.SignedHead memory head) private {
        _anchored.push(head);
        modelChain = nextChain(modelChain, head.head);
    }

    function _honest(uint256 size, uint256 time) private view returns (INousAnchor.SignedHead memory) {
        return headOver(leaves, size, modelEpoch, time);
    }

    function _proof(bytes32[] memory of_, uint256 from, uint256 to) private pure returns (bytes32[] memory) {
        return from == 0 ? nothing() : NaiveTree.consistency(of_, from, to);
    }

    function _newest() private view returns (NousLedger.Checkpoint memory) {
        return _anchored[_anchored.length - 1].head;
    }

    function _size() private view returns (uint256) {
        return _anchored.length == 0 ? 0 : _newest().size;
    }

    /// @dev Once in `times`; hashed, because the fuzzer prefers round numbers.
    function _chance(uint256 draw, uint256 times) private pure returns (bool) {
        return uint256(keccak256(abi.encode(draw))) % times == 0;
    }

    function _min(uint256 one, uint256 two) private pure returns (uint256) {
        return one < two ? one : two;
    }
}

/// @title What holds of the contract after every sequence of calls
contract InvariantsTest is SigningLog {
    Adversaries private _adversaries;

    function setUp() public {
        _adversaries = new Adversaries();
        (target, log) = _adversaries.contractAndLog();
    }

    function targetContracts() public view returns (address[] memory contracts) {
        contracts = new address[](1);
        contracts[0] = address(_adversaries);
    }

    /// @dev One invariant, because every one is a campaign of its own.
    function invariant_theContractSaysWhatTheHonestLogSigned() public {
        _theHeadIsTheNewestHonestOne();
        _everyAnchoredHeadIsAPrefix();
        _keysAreTheLogsAndNoneIsFlagged();
    }

    function _theHeadIsTheNewestHonestOne() private view {
        (uint256 count, NousLedger.Checkpoint memory model) = _adversaries.modelHead();
        (NousLedger.Checkpoint memory head, bytes32 chain, uint64 anchors) = target.head(log);
        same("anchors", anchors, count);
        same("chain", chain, _adversaries.modelChain());
        if (count == 0) {
            same("size", head.size, 0);
        } else {
            same("head", headDigest(head), headDigest(model));
        }
    }

    function _everyAnchoredHeadIsAPrefix() private view {
        (uint256 count, NousLedger.Checkpoint memory model) = _adversaries.modelHead();
        if (count == 0) return;
        bytes32[] memory leaves = new bytes32[](model.size);
        for (uint256 k = 0; k < model.size; ++k) {
            leaves[k] = _adversaries.leaves(k);
        }
        for (uint256 k = 0; k < count; ++k) {
            uint256 size = _adversaries.anchoredSize(k);
            bytes32[] memory proof = NaiveTree.consistency(leaves, size, model.size);
            target.verifyConsistency(log, uint64(size), NaiveTree.root(leaves, 0, size), proof);
        }
    }

    function _keysAreTheLogsAndNoneIsFlagged() private {
        (uint32 epoch,,, bool closed) = target.keys(log);
        same("epoch", epoch, _adversaries.modelEpoch());
        isTrue("closed", closed == _adversaries.modelClosed());
        for (uint32 k = 0; k <= epoch; ++k) {
            (address signer, bool flagged) = target.signerOf(log, k);
            same("signer", signer, accountOf(privateKey(k)));
            isTrue("flagged", !flagged);
        }
    }
}
