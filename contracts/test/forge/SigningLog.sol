// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {INousAnchor} from "../../src/INousAnchor.sol";
import {NousLedger} from "../../src/NousLedger.sol";
import {NaiveTree} from "./NaiveTree.sol";
import {Checks, Vm} from "./Vm.sol";

/// @title A log with its keys and leaves, as tests need it
/// @dev Digests are computed here again, from the text of the protocol, and not by the contract's library.
abstract contract SigningLog is Checks {
    uint256 internal constant START = 1_750_000_000;
    bytes32 internal constant EMPTY_ROOT = sha256("");
    bytes32 internal constant ED25519 = bytes32(uint256(0xed));
    bytes internal constant ORIGIN = "ledger.example.com/main";
    uint256 internal constant ORDER = 0xfffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141;

    INousAnchor internal target = deployAnchor();
    bytes32 internal log;

    /// @dev Private key of an epoch of the log.
    function privateKey(uint256 epoch) internal pure returns (uint256) {
        return uint256(keccak256(abi.encode("key", epoch))) >> 1;
    }

    function compressed(uint256 secret) internal returns (bytes memory) {
        Vm.Wallet memory wallet = vm.createWallet(secret);
        return abi.encodePacked(uint8(2 + (wallet.publicKeyY & 1)), wallet.publicKeyX);
    }

    function accountOf(uint256 secret) internal returns (address) {
        return vm.createWallet(secret).addr;
    }

    function commitment(uint256 secret) internal returns (bytes32) {
        return sha256(abi.encodePacked("nous-ledger/1 next-key", uint8(0), compressed(secret)));
    }

    function open() internal {
        vm.warp(START);
        log = target.register(ORIGIN, compressed(privateKey(0)), ED25519, commitment(privateKey(1)));
    }

    function typed(bytes memory members) internal pure returns (bytes32) {
        bytes32 domain = keccak256(
            abi.encode(keccak256("EIP712Domain(string name,string version)"), keccak256("nous-ledger"), keccak256("1"))
        );
        return keccak256(abi.encodePacked(uint16(0x1901), domain, keccak256(members)));
    }

    function headDigest(NousLedger.Checkpoint memory head) internal pure returns (bytes32) {
        bytes32 kind = keccak256("Checkpoint(bytes32 log,uint32 epoch,uint64 size,bytes32 root,uint64 timestamp)");
        return typed(abi.encode(kind, head.log, head.epoch, head.size, head.root, head.timestamp));
    }

    function signed(NousLedger.Checkpoint memory head, uint256 secret)
        internal
        pure
        returns (INousAnchor.SignedHead memory)
    {
        (uint8 v, bytes32 r, bytes32 s) = vm.sign(secret, headDigest(head));
        return INousAnchor.SignedHead({head: head, r: r, s: s, v: v - 27});
    }

    /// @dev The honest head over the first `size` leaves, signed by the key of its epoch.
    function headOver(bytes32[] memory leaves, uint256 size, uint32 epoch, uint256 time)
        internal
        view
        returns (INousAnchor.SignedHead memory)
    {
        NousLedger.Checkpoint memory head = NousLedger.Checkpoint({
            log: log, epoch: epoch, size: uint64(size), root: NaiveTree.root(leaves, 0, size), timestamp: uint64(time)
        });
        return signed(head, privateKey(epoch));
    }

    function submit(INousAnchor.SignedHead memory head, bytes32[] memory proof) internal {
        target.anchor(head.head, head.r, head.s, head.v, proof);
    }

    /// @dev Change to the key of the next epoch, which commits to `nextHash`.
    function rotateTo(uint32 epoch, bytes32 nextHash) internal {
        (uint8 v, bytes32 r, bytes32 s) = rotationBy(privateKey(epoch), epoch, nextHash);
        target.rotate(log, epoch, compressed(privateKey(epoch)), nextHash, r, s, v);
    }

    function rotationBy(uint256 secret, uint32 epoch, bytes32 nextHash)
        internal
        view
        returns (uint8 v, bytes32 r, bytes32 s)
    {
        bytes32 kind = keccak256("Rotation(bytes32 log,uint32 epoch,bytes32 next)");
        (v, r, s) = vm.sign(secret, typed(abi.encode(kind, log, epoch, nextHash)));
        v -= 27;
    }

    function nothing() internal pure returns (bytes32[] memory) {
        return new bytes32[](0);
    }

    function nextChain(bytes32 chain, NousLedger.Checkpoint memory head) internal pure returns (bytes32) {
        return sha256(abi.encodePacked("nous-ledger/1 anchor", uint8(0), chain, headDigest(head)));
    }

    /// @dev A slot of the log's storage, by the layout of PROTOCOL.md ANCH-12.
    function slotOf(uint256 offset) internal view returns (bytes32) {
        return vm.load(address(target), bytes32(uint256(keccak256(abi.encode(log, uint256(0)))) + offset));
    }
}
