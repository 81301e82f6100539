// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {INousAnchor} from "../../src/INousAnchor.sol";
import {NousLedger} from "../../src/NousLedger.sol";
import {Rfc9162} from "../../src/Rfc9162.sol";
import {Secp256k1} from "../../src/Secp256k1.sol";
import {NaiveTree} from "./NaiveTree.sol";
import {SigningLog} from "./SigningLog.sol";

/// @title What the anchor contract takes, and the error with which it refuses the rest
contract NousAnchorTest is SigningLog {
    bytes32[] private _leaves = NaiveTree.leavesOf(1, 64);

    function setUp() public {
        open();
    }

    function test_registered() public {
        (NousLedger.Checkpoint memory newest, bytes32 chain, uint64 anchors) = target.head(log);
        bytes memory key = compressed(privateKey(0));
        bytes32 id = sha256(
            abi.encodePacked(
                "nous-ledger/1 log", uint8(0), uint16(ORIGIN.length), ORIGIN, key, ED25519, commitment(privateKey(1))
            )
        );
        same("id", log, id);
        same("size", newest.size, 0);
        same("root", newest.root, EMPTY_ROOT);
        same("time", newest.timestamp, 0);
        same("chain", chain, log);
        same("anchors", anchors, 0);
        (uint32 epoch, address signer, bytes32 nextHash, bool closed) = target.keys(log);
        same("epoch", epoch, 0);
        same("signer", signer, accountOf(privateKey(0)));
        same("next", nextHash, commitment(privateKey(1)));
        isTrue("open", !closed);
    }

    function test_registeringAgainIsRefusedAndOtherValuesAreAnotherLog() public {
        bytes memory key = compressed(privateKey(0));
        bytes32 nextHash = commitment(privateKey(1));
        vm.expectRevert(abi.encodeWithSelector(INousAnchor.LogAlreadyRegistered.selector, log));
        target.register(ORIGIN, key, ED25519, nextHash);
        bytes32 other = target.register(ORIGIN, key, ED25519, bytes32(0));
        isTrue("another id", other != log);
        (, address signer,,) = target.keys(log);
        same("first log's signer", signer, accountOf(privateKey(0)));
    }

    function test_badRegistrations() public {
        bytes memory key = compressed(privateKey(0));
        vm.expectRevert(abi.encodeWithSelector(NousLedger.OriginInvalid.selector, bytes("A")));
        target.register("A", key, ED25519, 0);
        bytes memory offCurve = abi.encodePacked(uint8(2), uint256(5));
        vm.expectRevert(abi.encodeWithSelector(Secp256k1.KeyInvalid.selector, offCurve));
        target.register(ORIGIN, offCurve, ED25519, 0);
    }

    function testFuzz_everyHonestGrowthIsAnchored(uint256 first, uint256 second, uint256 third) public {
        third = within(third, 3, 64);
        second = within(second, 2, third - 1);
        first = within(first, 1, second - 1);
        bytes32[] memory leaves = _leaves;
        INousAnchor.SignedHead memory head = headOver(leaves, first, 0, START);
        submit(head, nothing());
        bytes32 chain = nextChain(log, head.head);
        head = headOver(leaves, second, 0, START);
        submit(head, NaiveTree.consistency(leaves, first, second));
        chain = nextChain(chain, head.head);
        head = headOver(leaves, third, 0, START + 300);
        chain = nextChain(chain, head.head);
        vm.expectEmit();
        emit INousAnchor.Anchored(
            log, 0, uint64(third), head.head.root, uint64(START + 300), head.r, head.s, head.v, chain
        );
        submit(head, NaiveTree.consistency(leaves, second, third));
        (NousLedger.Checkpoint memory newest, bytes32 stored, uint64 anchors) = target.head(log);
        same("head", headDigest(newest), headDigest(head.head));
        same("chain", stored, chain);
        same("anchors", anchors, 3);
        target.verifyConsistency(
            log, uint64(first), NaiveTree.root(leaves, 0, first), NaiveTree.consistency(leaves, first, third)
        );
        target.verifyInclusion(log, leaves[second], uint64(second), NaiveTree.inclusion(leaves, second, 0, third));
    }

    function test_storageIsLaidOutAsTheProtocolSays() public {
        submit(headOver(_leaves, 5, 0, START + 7), nothing());
        rotateTo(1, commitment(privateKey(2)));
        INousAnchor.SignedHead memory head = headOver(_leaves, 9, 1, START + 8);
        submit(head, NaiveTree.consistency(_leaves, 5, 9));
        rotateTo(2, bytes32(0));
        bytes memory packed =
            abi.encodePacked(uint8(1), uint8(1), uint48(2), uint32(2), uint32(1), uint64(START + 8), uint64(9));
        same("state", slotOf(0), bytes32(packed));
        same("root", slotOf(1), head.head.root);
        (, bytes32 chain,) = target.head(log);
        same("chain", slotOf(2), chain);
        same("next", slotOf(3), bytes32(0));
        for (uint256 epoch = 0; epoch < 3; ++epoch) {
            same("signer", slotOf(4 + epoch), bytes32(uint256(uint160(accountOf(privateKey(epoch))))));
        }
    }

    // ------------------------------------------------------------------ heads refused

    function test_unknownLog() public {
        INousAnchor.SignedHead memory head = headOver(_leaves, 5, 0, START);
        head.head.log = bytes32(uint256(1));
        _refuses(head, nothing(), abi.encodeWithSelector(INousAnchor.LogUnknown.selector, head.head.log));
    }

    function test_replayRollbackAndHeartbeat() public {
        submit(headOver(_leaves, 5, 0, START), nothing());
        submit(headOver(_leaves, 9, 0, START), NaiveTree.consistency(_leaves, 5, 9));
        bytes memory refusal = abi.encodeWithSelector(INousAnchor.SizeNotGrown.selector, 9, 9);
        _refuses(headOver(_leaves, 9, 0, START), nothing(), refusal);
        _refuses(headOver(_leaves, 9, 0, START + 1), nothing(), refusal);
        refusal = abi.encodeWithSelector(INousAnchor.SizeNotGrown.selector, 5, 9);
        _refuses(headOver(_leaves, 5, 0, START), nothing(), refusal);
        _refuses(headOver(_leaves, 5, 0, START + 1), NaiveTree.consistency(_leaves, 5, 9), refusal);
    }

    function test_fork() public {
        submit(headOver(_leaves, 5, 0, START), nothing());
        bytes32[] memory forked = _leaves;
        forked[2] = bytes32(uint256(1));
        INousAnchor.SignedHead memory head = headOver(forked, 9, 0, START);
        bytes32[] memory proof = NaiveTree.consistency(forked, 5, 9);
        bytes32 stored = NaiveTree.root(_leaves, 0, 5);
        bytes32 computed = NaiveTree.root(forked, 0, 5);
        _refuses(head, proof, abi.encodeWithSelector(Rfc9162.ProofRootMismatch.selector, stored, computed));
    }

    function test_proofOfAnotherLength() public {
        _refuses(
            headOver(_leaves, 5, 0, START),
            new bytes32[](1),
            abi.encodeWithSelector(Rfc9162.ProofLengthWrong.selector, 0, 1)
        );
        submit(headOver(_leaves, 5, 0, START), nothing());
        INousAnchor.SignedHead memory head = headOver(_leaves, 9, 0, START);
        bytes32[] memory proof = NaiveTree.consistency(_leaves, 5, 9);
        uint256 length = proof.length;
        bytes4 wrong = Rfc9162.ProofLengthWrong.selector;
        _refuses(head, nothing(), abi.encodeWithSelector(wrong, length, 0));
        _refuses(head, NaiveTree.append(proof, 0), abi.encodeWithSelector(wrong, length, length + 1));
        _refuses(head, NaiveTree.shorten(proof), abi.encodeWithSelector(wrong, length, length - 1));
    }

    function test_timeBackAndAhead() public {
        submit(headOver(_leaves, 5, 0, START), nothing());
        bytes32[] memory proof = NaiveTree.consistency(_leaves, 5, 9);
        bytes memory refusal = abi.encodeWithSelector(INousAnchor.TimeRegressed.selector, START - 1, START);
        _refuses(headOver(_leaves, 9, 0, START - 1), proof, refusal);
        refusal = abi.encodeWithSelector(INousAnchor.TimeInFuture.selector, START + 301, START + 300);
        _refuses(headOver(_leaves, 9, 0, START + 301), proof, refusal);
        submit(headOver(_leaves, 9, 0, START + 300), proof);
    }

    function test_numbersAndRootsOutOfRange() public {
        NousLedger.Checkpoint memory head =
            NousLedger.Checkpoint({log: log, epoch: 0, size: 1 << 53, root: _leaves[0], timestamp: uint64(START)});
        bytes memory refusal = abi.encodeWithSelector(NousLedger.HeadFieldOutOfRange.selector, head.size);
        _refuses(signed(head, privateKey(0)), nothing(), refusal);
        head.size = 0;
        refusal = abi.encodeWithSelector(INousAnchor.SizeNotGrown.selector, 0, 0);
        _refuses(signed(head, privateKey(0)), nothing(), refusal);
        head.size = 1;
        head.root = 0;
        _refuses(signed(head, privateKey(0)), nothing(), abi.encodeWithSelector(INousAnchor.RootZero.selector));
    }

    function test_signatures() public {
        INousAnchor.SignedHead memory head = headOver(_leaves, 5, 0, START);
        bytes32 s = head.s;
        address foreigner = accountOf(privateKey(9));
        INousAnchor.SignedHead memory foreign = signed(head.head, privateKey(9));
        address own = accountOf(privateKey(0));
        bytes4 mismatch = Secp256k1.SignatureMismatch.selector;
        _refuses(foreign, nothing(), abi.encodeWithSelector(mismatch, own, foreigner));
        head.v = 27;
        _refuses(head, nothing(), abi.encodeWithSelector(Secp256k1.SignatureBadRecoveryId.selector, 27));
        head.v = 1 - signed(head.head, privateKey(0)).v;
        head.s = bytes32(ORDER - uint256(s));
        _refuses(head, nothing(), abi.encodeWithSelector(Secp256k1.SignatureHighS.selector, head.s));
        head.s = 0;
        _refuses(head, nothing(), abi.encodeWithSelector(Secp256k1.SignatureMalformed.selector, head.r, 0));
    }

    function test_batchSaysOfEachItemHowItWent() public {
        INousAnchor.Anchoring[] memory items = new INousAnchor.Anchoring[](5);
        items[0] = _item(headOver(_leaves, 5, 0, START), nothing());
        items[1] = _item(headOver(_leaves, 5, 0, START), nothing());
        items[2] = _item(headOver(_leaves, 9, 0, START), nothing());
        items[3] = _item(headOver(_leaves, 9, 0, START), NaiveTree.consistency(_leaves, 5, 9));
        items[4] = _item(signed(headOver(_leaves, 10, 0, START).head, privateKey(9)), nothing());
        bytes4[] memory outcomes = target.anchorBatch(items);
        bytes4[5] memory expected = [
            bytes4(0),
            INousAnchor.SizeNotGrown.selector,
            Rfc9162.ProofLengthWrong.selector,
            bytes4(0),
            Secp256k1.SignatureMismatch.selector
        ];
        for (uint256 k = 0; k < items.length; ++k) {
            same("outcome", outcomes[k], expected[k]);
        }
        vm.expectRevert(abi.encodeWithSelector(INousAnchor.BatchTooLong.selector, 65, 64));
        target.anchorBatch(new INousAnchor.Anchoring[](65));
    }

    // ------------------------------------------------------------------ keys

    function test_rotation() public {
        submit(headOver(_leaves, 5, 0, START), nothing());
        bytes32[] memory proof = NaiveTree.consistency(_leaves, 5, 9);
        bytes memory refusal = abi.encodeWithSelector(INousAnchor.EpochNotCurrent.selector, 1, 0);
        _refuses(headOver(_leaves, 9, 1, START), proof, refusal);
        rotateTo(1, commitment(privateKey(2)));
        refusal = abi.encodeWithSelector(INousAnchor.EpochNotCurrent.selector, 0, 1);
        _refuses(headOver(_leaves, 9, 0, START), proof, refusal);
        INousAnchor.SignedHead memory old = headOver(_leaves, 9, 1, START);
        old = signed(old.head, privateKey(0));
        bytes4 mismatch = Secp256k1.SignatureMismatch.selector;
        _refuses(old, proof, abi.encodeWithSelector(mismatch, accountOf(privateKey(1)), accountOf(privateKey(0))));
        submit(headOver(_leaves, 9, 1, START), proof);
        (address first,) = target.signerOf(log, 0);
        same("the first signer is kept", first, accountOf(privateKey(0)));
        vm.expectRevert(abi.encodeWithSelector(INousAnchor.EpochUnknown.selector, log, 2));
        target.signerOf(log, 2);
    }

    function test_rotationsRefused() public {
        bytes memory revealed = compressed(privateKey(1));
        bytes32 next = commitment(privateKey(2));
        (uint8 v, bytes32 r, bytes32 s) = rotationBy(privateKey(0), 1, next);
        address old = accountOf(privateKey(0));
        address held = accountOf(privateKey(1));
        vm.expectRevert(abi.encodeWithSelector(Secp256k1.SignatureMismatch.selector, held, old));
        target.rotate(log, 1, revealed, next, r, s, v);
        bytes memory other = compressed(privateKey(0));
        bytes4 uncommitted = INousAnchor.KeyNotCommitted.selector;
        vm.expectRevert(abi.encodeWithSelector(uncommitted, commitment(privateKey(1)), commitment(privateKey(0))));
        target.rotate(log, 1, other, next, r, s, v);
        (v, r, s) = rotationBy(privateKey(1), 2, next);
        vm.expectRevert(abi.encodeWithSelector(INousAnchor.EpochNotNext.selector, 2, 1));
        target.rotate(log, 2, revealed, next, r, s, v);
        rotateTo(1, next);
        (v, r, s) = rotationBy(privateKey(1), 1, next);
        vm.expectRevert(abi.encodeWithSelector(INousAnchor.EpochNotNext.selector, 1, 2));
        target.rotate(log, 1, revealed, next, r, s, v);
    }

    function test_close() public {
        submit(headOver(_leaves, 5, 0, START), nothing());
        rotateTo(1, bytes32(0));
        bytes32[] memory proof = NaiveTree.consistency(_leaves, 5, 9);
        bytes memory refusal = abi.encodeWithSelector(INousAnchor.LogClosed.selector, log);
        _refuses(headOver(_leaves, 9, 1, START), proof, refusal);
        _refuses(headOver(_leaves, 9, 0, START), proof, refusal);
        bytes memory key = compressed(privateKey(2));
        vm.expectRevert(refusal);
        target.rotate(log, 2, key, 0, 0, 0, 0);
        (,,, bool closed) = target.keys(log);
        isTrue("closed", closed);
    }

    function test_epoch63IsTheLast() public {
        for (uint32 epoch = 1; epoch < 64; ++epoch) {
            rotateTo(epoch, commitment(privateKey(epoch + 1)));
        }
        submit(headOver(_leaves, 5, 63, START), nothing());
        bytes memory key = compressed(privateKey(64));
        vm.expectRevert(abi.encodeWithSelector(INousAnchor.EpochTooLarge.selector, 64));
        target.rotate(log, 64, key, 0, 0, 0, 0);
    }

    function test_aLogWithoutACommitmentCannotRotate() public {
        bytes memory key = compressed(privateKey(0));
        log = target.register(ORIGIN, key, ED25519, 0);
        vm.expectRevert(abi.encodeWithSelector(INousAnchor.LogCannotRotate.selector, log));
        target.rotate(log, 1, key, 0, 0, 0, 0);
        submit(headOver(_leaves, 5, 0, START), nothing());
    }

    function _item(INousAnchor.SignedHead memory head, bytes32[] memory proof)
        private
        pure
        returns (INousAnchor.Anchoring memory)
    {
        return INousAnchor.Anchoring({head: head.head, r: head.r, s: head.s, v: head.v, proof: proof});
    }

    function _refuses(INousAnchor.SignedHead memory head, bytes32[] memory proof, bytes memory refusal) private {
        vm.expectRevert(refusal);
        target.anchor(head.head, head.r, head.s, head.v, proof);
    }
}
