// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Rfc9162} from "../../src/Rfc9162.sol";
import {NousLedgerHarness} from "../NousLedgerHarness.sol";
import {NaiveTree} from "./NaiveTree.sol";
import {Checks} from "./Vm.sol";

/// @title Inclusion and consistency against a naive tree: round trip, position, mutation, work, boundaries
contract Rfc9162Test is Checks {
    uint256 private constant MAX_COUNT = (1 << 53) - 1;

    /// @dev More than the dearest check costs, unoptimised: 54 levels of two hashes.
    uint256 private constant MOST_GAS = 120_000;

    NousLedgerHarness private _library = new NousLedgerHarness();

    function testFuzz_inclusionRoundTrip(uint256 seed, uint256 count, uint256 index) public view {
        count = within(count, 1, 200);
        index = within(index, 0, count - 1);
        bytes32[] memory leaves = NaiveTree.leavesOf(seed, count);
        bytes32[] memory path = NaiveTree.inclusion(leaves, index, 0, count);
        _library.verifyInclusion(leaves[index], index, count, path, NaiveTree.root(leaves, 0, count));
        same("length", _library.inclusionLength(index, count), path.length);
    }

    function testFuzz_inclusionBindsThePosition(uint256 seed, uint256 count, uint256 index, uint256 other) public view {
        count = within(count, 2, 100);
        index = within(index, 0, count - 1);
        other = within(other, 0, count - 1);
        vm.assume(index != other);
        bytes32[] memory leaves = NaiveTree.leavesOf(seed, count);
        bytes32[] memory path = NaiveTree.inclusion(leaves, index, 0, count);
        bytes32 root = NaiveTree.root(leaves, 0, count);
        isTrue("leaf elsewhere", !_includes(leaves[index], other, count, path, root));
        isTrue("other leaf", !_includes(leaves[other], index, count, path, root));
    }

    function testFuzz_inclusionMutated(uint256 seed, uint256 count, uint256 index, uint256 where, uint8 bit)
        public
        view
    {
        count = within(count, 2, 100);
        index = within(index, 0, count - 1);
        bytes32[] memory leaves = NaiveTree.leavesOf(seed, count);
        bytes32[] memory path = NaiveTree.inclusion(leaves, index, 0, count);
        bytes32 root = NaiveTree.root(leaves, 0, count);
        bytes32 flip = bytes32(uint256(1) << bit);
        isTrue("root", !_includes(leaves[index], index, count, path, root ^ flip));
        isTrue("leaf", !_includes(leaves[index] ^ flip, index, count, path, root));
        isTrue("longer", !_includes(leaves[index], index, count, NaiveTree.append(path, root), root));
        isTrue("shorter", !_includes(leaves[index], index, count, NaiveTree.shorten(path), root));
        path[where % path.length] ^= flip;
        isTrue("path", !_includes(leaves[index], index, count, path, root));
    }

    function testFuzz_consistencyRoundTrip(uint256 seed, uint256 oldCount, uint256 newCount) public view {
        newCount = within(newCount, 1, 200);
        oldCount = within(oldCount, 1, newCount);
        bytes32[] memory leaves = NaiveTree.leavesOf(seed, newCount);
        bytes32[] memory path = NaiveTree.consistency(leaves, oldCount, newCount);
        bytes32 oldRoot = NaiveTree.root(leaves, 0, oldCount);
        _library.verifyConsistency(oldCount, oldRoot, newCount, NaiveTree.root(leaves, 0, newCount), path);
        same("length", _library.consistencyLength(oldCount, newCount), path.length);
    }

    function testFuzz_consistencyBindsThePosition(uint256 seed, uint256 oldCount, uint256 other, uint256 newCount)
        public
        view
    {
        newCount = within(newCount, 3, 100);
        oldCount = within(oldCount, 1, newCount - 1);
        other = within(other, 1, newCount - 1);
        vm.assume(oldCount != other);
        bytes32[] memory leaves = NaiveTree.leavesOf(seed, newCount);
        bytes32[] memory path = NaiveTree.consistency(leaves, oldCount, newCount);
        bytes32 newRoot = NaiveTree.root(leaves, 0, newCount);
        isTrue("other prefix", !_extends(other, NaiveTree.root(leaves, 0, other), newCount, newRoot, path));
        bytes32[] memory forked = NaiveTree.leavesOf(seed, oldCount);
        forked[other % oldCount] = bytes32(seed);
        isTrue("fork", !_extends(oldCount, NaiveTree.root(forked, 0, oldCount), newCount, newRoot, path));
    }

    function testFuzz_consistencyMutated(uint256 seed, uint256 oldCount, uint256 newCount, uint256 where, uint8 bit)
        public
        view
    {
        newCount = within(newCount, 2, 100);
        oldCount = within(oldCount, 1, newCount - 1);
        bytes32[] memory leaves = NaiveTree.leavesOf(seed, newCount);
        bytes32[] memory path = NaiveTree.consistency(leaves, oldCount, newCount);
        bytes32 oldRoot = NaiveTree.root(leaves, 0, oldCount);
        bytes32 newRoot = NaiveTree.root(leaves, 0, newCount);
        bytes32 flip = bytes32(uint256(1) << bit);
        isTrue("old root", !_extends(oldCount, oldRoot ^ flip, newCount, newRoot, path));
        isTrue("new root", !_extends(oldCount, oldRoot, newCount, newRoot ^ flip, path));
        isTrue("swapped", !_extends(newCount, newRoot, oldCount, oldRoot, path));
        isTrue("longer", !_extends(oldCount, oldRoot, newCount, newRoot, NaiveTree.append(path, newRoot)));
        isTrue("shorter", !_extends(oldCount, oldRoot, newCount, newRoot, NaiveTree.shorten(path)));
        isTrue("empty", !_extends(oldCount, oldRoot, newCount, newRoot, new bytes32[](0)));
        path[where % path.length] ^= flip;
        isTrue("path", !_extends(oldCount, oldRoot, newCount, newRoot, path));
    }

    /// @dev Whatever the counts: a path of another length is refused before the first hash, the right one costs at most
    ///      two hashes a level.
    function testFuzz_boundedWork(uint256 seed, uint256 first, uint256 second, uint16 length) public view {
        second = within(second, 1, MAX_COUNT >> within(seed, 0, 52));
        first = within(first, 1, second);
        bytes32[] memory junk = NaiveTree.leavesOf(seed, within(length, 0, 300));
        bytes32[] memory fitting = NaiveTree.leavesOf(seed, _library.consistencyLength(first, second));
        isTrue("levels", fitting.length <= 54 && _library.inclusionLength(first - 1, second) <= 53);
        uint256 before = gasleft();
        _extends(first, bytes32(seed), second, bytes32(seed), fitting);
        isTrue("gas of a path that fits", before - gasleft() < MOST_GAS);
        if (junk.length == fitting.length) return;
        isTrue("another length", !_extends(first, bytes32(seed), second, bytes32(seed), junk));
    }

    function test_boundaries() public {
        bytes32 root = sha256("");
        bytes32[] memory none = new bytes32[](0);
        _library.verifyInclusion(root, 0, 1, none, root);
        _library.verifyConsistency(MAX_COUNT, root, MAX_COUNT, root, none);
        vm.expectRevert(abi.encodeWithSelector(Rfc9162.ProofIndexOutOfRange.selector, 1, 1));
        _library.verifyInclusion(root, 1, 1, none, root);
        vm.expectRevert(abi.encodeWithSelector(Rfc9162.ProofIndexOutOfRange.selector, 0, 0));
        _library.verifyInclusion(root, 0, 0, none, root);
        vm.expectRevert(abi.encodeWithSelector(Rfc9162.ProofCountsInvalid.selector, MAX_COUNT + 1, MAX_COUNT + 1));
        _library.verifyInclusion(root, 0, MAX_COUNT + 1, none, root);
        vm.expectRevert(abi.encodeWithSelector(Rfc9162.ProofCountsInvalid.selector, 0, 5));
        _library.verifyConsistency(0, root, 5, root, none);
        vm.expectRevert(abi.encodeWithSelector(Rfc9162.ProofCountsInvalid.selector, 6, 5));
        _library.verifyConsistency(6, root, 5, root, none);
        vm.expectRevert(abi.encodeWithSelector(Rfc9162.ProofCountsInvalid.selector, 1, MAX_COUNT + 1));
        _library.verifyConsistency(1, root, MAX_COUNT + 1, root, none);
        vm.expectRevert(abi.encodeWithSelector(Rfc9162.ProofLengthWrong.selector, 53, 0));
        _library.verifyInclusion(root, 0, MAX_COUNT, none, root);
    }

    function _includes(bytes32 leaf, uint256 index, uint256 count, bytes32[] memory path, bytes32 root)
        private
        view
        returns (bool)
    {
        try _library.verifyInclusion(leaf, index, count, path, root) {
            return true;
        } catch {
            return false;
        }
    }

    function _extends(uint256 oldCount, bytes32 oldRoot, uint256 newCount, bytes32 newRoot, bytes32[] memory path)
        private
        view
        returns (bool)
    {
        try _library.verifyConsistency(oldCount, oldRoot, newCount, newRoot, path) {
            return true;
        } catch {
            return false;
        }
    }
}
