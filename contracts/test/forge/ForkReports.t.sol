// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {INousAnchor} from "../../src/INousAnchor.sol";
import {NousLedger} from "../../src/NousLedger.sol";
import {Rfc9162} from "../../src/Rfc9162.sol";
import {Secp256k1} from "../../src/Secp256k1.sol";
import {NaiveTree} from "./NaiveTree.sol";
import {SigningLog} from "./SigningLog.sol";

/// @title A fork can be reported, whoever signed it and whatever happened since; an honest log cannot
contract ForkReportsTest is SigningLog {
    function setUp() public {
        open();
    }

    function testFuzz_everyForkIsReported(uint256 seed, uint256 smaller, uint256 larger, uint256 changed) public {
        larger = within(larger, 1, 40);
        smaller = within(smaller, 1, larger);
        changed = within(changed, 0, smaller - 1);
        bytes32[] memory leaves = NaiveTree.leavesOf(seed, larger);
        bytes32[] memory forked = NaiveTree.leavesOf(seed, larger);
        forked[changed] = sha256(abi.encode(seed));
        INousAnchor.SignedHead memory one = headOver(forked, smaller, 0, START);
        INousAnchor.SignedHead memory two = headOver(leaves, larger, 0, START - 5);
        bytes32 prefix = NaiveTree.root(leaves, 0, smaller);
        vm.expectEmit();
        emit INousAnchor.ForkReported(log, one, two, prefix);
        target.reportFork(one, two, prefix, NaiveTree.consistency(leaves, smaller, larger));
        (, bool flagged) = target.signerOf(log, 0);
        isTrue("flagged", flagged);
    }

    function testFuzz_noHonestPairIsReported(
        uint256 seed,
        uint256 smaller,
        uint256 larger,
        uint256 from,
        uint256 to,
        bytes32 junk
    ) public {
        larger = within(larger, 1, 24);
        smaller = within(smaller, 1, larger);
        to = within(to, 1, larger);
        from = within(from, 1, to);
        bytes32[] memory leaves = NaiveTree.leavesOf(seed, larger);
        INousAnchor.SignedHead memory one = headOver(leaves, smaller, 0, START);
        INousAnchor.SignedHead memory two = headOver(leaves, larger, 0, START + 9);
        bytes32[] memory right = NaiveTree.consistency(leaves, smaller, larger);
        bytes32[] memory other = NaiveTree.consistency(leaves, from, to);
        bytes32[4] memory prefixes =
            [NaiveTree.root(leaves, 0, from), NaiveTree.root(leaves, 0, smaller), junk, two.head.root];
        for (uint256 k = 0; k < prefixes.length; ++k) {
            isTrue("right path", !_reports(one, two, prefixes[k], right));
            isTrue("other path", !_reports(one, two, prefixes[k], other));
            isTrue("no path", !_reports(one, two, prefixes[k], nothing()));
            isTrue("the other way round", smaller == larger || !_reports(two, one, prefixes[k], right));
        }
        (, bool flagged) = target.signerOf(log, 0);
        isTrue("not flagged", !flagged);
    }

    function test_bothEpochsAreFlaggedAndNothingIsBlocked() public {
        bytes32[] memory leaves = NaiveTree.leavesOf(1, 20);
        bytes32[] memory forked = NaiveTree.leavesOf(2, 20);
        submit(headOver(leaves, 5, 0, START), nothing());
        for (uint32 epoch = 1; epoch < 4; ++epoch) {
            rotateTo(epoch, commitment(privateKey(epoch + 1)));
        }
        INousAnchor.SignedHead memory one = headOver(forked, 7, 1, START);
        INousAnchor.SignedHead memory two = headOver(leaves, 9, 3, START);
        target.reportFork(one, two, NaiveTree.root(leaves, 0, 7), NaiveTree.consistency(leaves, 7, 9));
        for (uint32 epoch = 0; epoch < 4; ++epoch) {
            (address signer, bool flagged) = target.signerOf(log, epoch);
            isTrue("flags", flagged == (epoch == 1 || epoch == 3));
            bytes32 slot = bytes32(uint256(uint160(signer)) | (flagged ? 1 << 160 : 0));
            same("slot", slotOf(4 + epoch), slot);
        }
        submit(two, NaiveTree.consistency(leaves, 5, 9));
        rotateTo(4, bytes32(0));
        target.reportFork(one, two, NaiveTree.root(leaves, 0, 7), NaiveTree.consistency(leaves, 7, 9));
        (, bool still) = target.signerOf(log, 1);
        isTrue("the flag stays", still);
    }

    function test_reportsRefused() public {
        bytes32[] memory leaves = NaiveTree.leavesOf(1, 20);
        bytes32[] memory forked = NaiveTree.leavesOf(2, 20);
        INousAnchor.SignedHead memory one = headOver(forked, 7, 0, START);
        INousAnchor.SignedHead memory two = headOver(leaves, 9, 0, START);
        bytes32 prefix = NaiveTree.root(leaves, 0, 7);
        bytes32[] memory proof = NaiveTree.consistency(leaves, 7, 9);
        bytes4 counts = Rfc9162.ProofCountsInvalid.selector;
        _refuses(two, one, prefix, proof, abi.encodeWithSelector(counts, 9, 7));
        _refuses(
            one,
            two,
            one.head.root,
            proof,
            abi.encodeWithSelector(Rfc9162.ProofRootMismatch.selector, one.head.root, prefix)
        );
        _refuses(
            two, two, two.head.root, nothing(), abi.encodeWithSelector(INousAnchor.HeadsAgree.selector, two.head.root)
        );
        address foreigner = accountOf(privateKey(9));
        INousAnchor.SignedHead memory foreign = signed(one.head, privateKey(9));
        bytes4 mismatch = Secp256k1.SignatureMismatch.selector;
        bytes memory refusal = abi.encodeWithSelector(mismatch, accountOf(privateKey(0)), foreigner);
        _refuses(foreign, two, prefix, proof, refusal);
        foreign = signed(two.head, privateKey(9));
        _refuses(one, foreign, prefix, proof, refusal);
        INousAnchor.SignedHead memory later = headOver(forked, 7, 1, START);
        _refuses(later, two, prefix, proof, abi.encodeWithSelector(INousAnchor.EpochUnknown.selector, log, 1));
        NousLedger.Checkpoint memory empty =
            NousLedger.Checkpoint({log: log, epoch: 0, size: 0, root: prefix, timestamp: 1});
        _refuses(signed(empty, privateKey(0)), two, EMPTY_ROOT, proof, abi.encodeWithSelector(counts, 0, 9));
        bytes32 first = log;
        log = target.register("another", compressed(privateKey(0)), ED25519, 0);
        INousAnchor.SignedHead memory elsewhere = headOver(forked, 7, 0, START);
        _refuses(elsewhere, two, prefix, proof, abi.encodeWithSelector(INousAnchor.LogsDiffer.selector, log, first));
    }

    function _refuses(
        INousAnchor.SignedHead memory one,
        INousAnchor.SignedHead memory two,
        bytes32 prefix,
        bytes32[] memory proof,
        bytes memory refusal
    ) private {
        vm.expectRevert(refusal);
        target.reportFork(one, two, prefix, proof);
    }

    function _reports(
        INousAnchor.SignedHead memory one,
        INousAnchor.SignedHead memory two,
        bytes32 prefix,
        bytes32[] memory proof
    ) private returns (bool) {
        try target.reportFork(one, two, prefix, proof) {
            return true;
        } catch {
            return false;
        }
    }
}
