// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {INousAnchor} from "../../src/INousAnchor.sol";
import {NousLedger} from "../../src/NousLedger.sol";
import {NaiveTree} from "./NaiveTree.sol";
import {SigningLog} from "./SigningLog.sol";

/// @title What a transaction costs, calldata and all, at its most expensive
/// @dev Isolated, every call of a test is a transaction of its own. The figures are kept in snapshots/anchor.json and
///      compared with it.
/// forge-config: default.isolate = true
contract GasTest is SigningLog {
    /// @dev Roots of trees whose leaves are all alike, by size: trees of a billion leaves are as cheap as small ones.
    mapping(uint256 size => bytes32) private _alike;

    function setUp() public {
        // Prices of calldata and of modular powers as chains of 2026 have them; compiled is for older ones too.
        vm.setEvmVersion("osaka");
        open();
        _alike[1] = sha256("a leaf like all others");
    }

    function test_register() public {
        bytes memory key = compressed(privateKey(9));
        bytes32 nextHash = commitment(privateKey(10));
        target.register("ledger.example.com/two", key, ED25519, nextHash);
        vm.snapshotGasLastCall("anchor", "register");
    }

    function test_anchorTheFirst() public {
        submit(_head(1 << 20), nothing());
        vm.snapshotGasLastCall("anchor", "anchor the first head");
    }

    function test_anchor() public {
        _anchor(10);
        _anchor(20);
        _anchor(30);
    }

    function test_batchOf20() public {
        submit(_head((1 << 20) - 1), nothing());
        INousAnchor.Anchoring[] memory items = new INousAnchor.Anchoring[](20);
        for (uint256 k = 0; k < 20; ++k) {
            INousAnchor.SignedHead memory head = _head((1 << 20) + k);
            items[k] = INousAnchor.Anchoring({
                head: head.head, r: head.r, s: head.s, v: head.v, proof: _consistency((1 << 20) + k - 1, (1 << 20) + k)
            });
        }
        bytes4[] memory outcomes = target.anchorBatch(items);
        vm.snapshotGasLastCall("anchor", "batch of 20 heads");
        for (uint256 k = 0; k < 20; ++k) {
            same("accepted", outcomes[k], bytes4(0));
        }
    }

    function test_rotate() public {
        bytes memory key = compressed(privateKey(1));
        bytes32 nextHash = commitment(privateKey(2));
        (uint8 v, bytes32 r, bytes32 s) = rotationBy(privateKey(1), 1, nextHash);
        target.rotate(log, 1, key, nextHash, r, s, v);
        vm.snapshotGasLastCall("anchor", "rotate");
    }

    function test_inclusion() public {
        _inclusion(10);
        _inclusion(20);
        _inclusion(30);
    }

    function test_record() public {
        bytes memory part = abi.encodePacked(uint8(1), uint16(1), uint32(0), uint64(7), uint64(START * 1000), log);
        bytes32 digest = sha256(abi.encodePacked("nous-ledger/1 entry", uint8(0), log, part));
        (uint8 v, bytes32 r, bytes32 s) = vm.sign(privateKey(0), digest);
        bytes memory record = abi.encodePacked(part, r, s, uint8(v - 27));
        bytes memory answer = _send(abi.encodeCall(INousAnchor.verifyRecord, (log, record)));
        vm.snapshotGasLastCall("anchor", "record");
        (NousLedger.Record memory fields, bytes32 leaf) = abi.decode(answer, (NousLedger.Record, bytes32));
        same("index", fields.index, 7);
        same("leaf", leaf, sha256(abi.encodePacked(uint8(0), record)));
    }

    function test_reportFork() public {
        uint256 size = 1 << 30;
        INousAnchor.SignedHead memory smaller = _head(size - 1);
        smaller.head.root = _alike[1];
        smaller = signed(smaller.head, privateKey(0));
        target.reportFork(smaller, _head(size), _root(size - 1), _consistency(size - 1, size));
        vm.snapshotGasLastCall("anchor", "report a fork, 2^30");
        smaller = _head(size);
        smaller.head.root = _alike[1];
        log = target.register("ledger.example.com/two", compressed(privateKey(0)), ED25519, bytes32(0));
        smaller.head.log = log;
        smaller = signed(smaller.head, privateKey(0));
        target.reportFork(smaller, _head(size), _root(size), nothing());
        vm.snapshotGasLastCall("anchor", "report a fork, equal sizes");
    }

    /// @dev The longest path there is to this many leaves, all of whose steps but one take two hashes.
    function _anchor(uint256 height) private {
        uint256 size = 1 << height;
        log = target.register(bytes(vm.toString(height)), compressed(privateKey(0)), ED25519, bytes32(0));
        submit(_head(size - 1), nothing());
        submit(_head(size), _consistency(size - 1, size));
        vm.snapshotGasLastCall("anchor", string.concat("anchor, 2^", vm.toString(height)));
    }

    function _inclusion(uint256 height) private {
        uint256 size = 1 << height;
        log = target.register(bytes(vm.toString(height)), compressed(privateKey(0)), ED25519, bytes32(0));
        submit(_head(size), nothing());
        bytes32[] memory path = nothing();
        for (uint256 k = 0; k < height; ++k) {
            path = NaiveTree.append(path, _root(1 << k));
        }
        _send(abi.encodeCall(INousAnchor.verifyInclusion, (log, _alike[1], uint64(size / 3), path)));
        vm.snapshotGasLastCall("anchor", string.concat("inclusion, 2^", vm.toString(height)));
    }

    /// @dev A view as a transaction: a static call is none.
    function _send(bytes memory call) private returns (bytes memory answer) {
        bool done;
        (done, answer) = address(target).call(call);
        isTrue("accepted", done);
    }

    function _head(uint256 size) private returns (INousAnchor.SignedHead memory) {
        bytes32 root = _root(size);
        return signed(
            NousLedger.Checkpoint({log: log, epoch: 0, size: uint64(size), root: root, timestamp: uint64(START)}),
            privateKey(0)
        );
    }

    function _root(uint256 size) private returns (bytes32) {
        if (_alike[size] == 0) {
            uint256 k = NaiveTree.split(size);
            _alike[size] = NaiveTree.node(_root(k), _root(size - k));
        }
        return _alike[size];
    }

    function _consistency(uint256 oldCount, uint256 newCount) private returns (bytes32[] memory) {
        return _subproof(oldCount, newCount, true);
    }

    function _subproof(uint256 oldCount, uint256 size, bool whole) private returns (bytes32[] memory) {
        if (oldCount == size) return whole ? nothing() : NaiveTree.append(nothing(), _root(size));
        uint256 k = NaiveTree.split(size);
        if (oldCount <= k) return NaiveTree.append(_subproof(oldCount, k, whole), _root(size - k));
        return NaiveTree.append(_subproof(oldCount - k, size - k, false), _root(k));
    }
}
