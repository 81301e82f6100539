// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {NousLedger} from "./NousLedger.sol";

/// @title Anchors of nous-ledger/1 logs: the newest head of every log, and no head that rewrites its history
/// @notice Anyone may call every function for any log; what counts is who signed, never who sent. There is no owner,
///         nothing can be paused, replaced or paid in, and nothing that was accepted can be taken back.
/// @dev PROTOCOL.md section 16. A function named `verify…` returns only when the claim holds and reverts otherwise.
///      Errors of proofs, signatures, records and origins are those of `Rfc9162`, `Secp256k1` and `NousLedger`.
interface INousAnchor {
    /// @notice A head and the log's signature over its EIP-712 digest.
    /// @dev head: the head. r, s, v: the signature; s at most n/2, v the recovery id 0 or 1.
    struct SignedHead {
        NousLedger.Checkpoint head;
        bytes32 r;
        bytes32 s;
        uint8 v;
    }

    /// @notice What `anchor` takes, as an item of a batch.
    /// @dev head, r, s, v: as in `SignedHead`. proof: consistency path from the anchored head to `head`.
    struct Anchoring {
        NousLedger.Checkpoint head;
        bytes32 r;
        bytes32 s;
        uint8 v;
        bytes32[] proof;
    }

    /// @notice A log was registered; its id can be computed again from the other values (ID-3).
    /// @param log Log id.
    /// @param signer Address of `key`, the signer of epoch 0.
    /// @param nextHash Commitment to the next key; zero: the log cannot rotate.
    /// @param ed25519 First Ed25519 key.
    /// @param key First secp256k1 key, 33 bytes compressed.
    /// @param origin Name of the log.
    event Registered(bytes32 indexed log, address signer, bytes32 nextHash, bytes32 ed25519, bytes key, bytes origin);

    /// @notice A head became the newest anchored one of its log.
    /// @dev The event carries the signature, so it is enough to report a fork.
    /// @param log Log id.
    /// @param epoch Key epoch of the signer.
    /// @param size Leaves in the tree.
    /// @param root Root of the tree.
    /// @param timestamp Unix seconds of the signature.
    /// @param r First half of the signature.
    /// @param s Second half of the signature.
    /// @param v Recovery id.
    /// @param chain Running hash over the log's anchored heads, this one included (ANCH-9).
    event Anchored(
        bytes32 indexed log,
        uint32 epoch,
        uint64 size,
        bytes32 root,
        uint64 timestamp,
        bytes32 r,
        bytes32 s,
        uint8 v,
        bytes32 chain
    );

    /// @notice A log changed its key, or (`nextHash` zero) was closed.
    /// @param log Log id.
    /// @param epoch The epoch that begins.
    /// @param signer Address of `key`, the signer of this epoch.
    /// @param nextHash Commitment to the key after `key`; zero: the log is closed.
    /// @param key The revealed key, 33 bytes compressed.
    /// @param r First half of the revealed key's signature.
    /// @param s Second half of the signature.
    /// @param v Recovery id.
    event Rotated(
        bytes32 indexed log, uint32 epoch, address signer, bytes32 nextHash, bytes key, bytes32 r, bytes32 s, uint8 v
    );

    /// @notice Two heads of one log contradict each other; both epochs are flagged for ever.
    /// @param log Log id.
    /// @param smaller The head over fewer leaves, or as many.
    /// @param larger The other head.
    /// @param prefixRoot Root of the first `smaller.head.size` leaves of the tree of `larger`.
    event ForkReported(bytes32 indexed log, SignedHead smaller, SignedHead larger, bytes32 prefixRoot);

    /// @notice No log of this id is registered.
    error LogUnknown(bytes32 log);

    /// @notice The log is registered already. Its id stands for all that was given, so it is registered with this.
    error LogAlreadyRegistered(bytes32 log);

    /// @notice The log is closed: neither a rotation nor a growing head follows.
    error LogClosed(bytes32 log);

    /// @notice The log was registered without a commitment to a next key.
    error LogCannotRotate(bytes32 log);

    /// @notice The head is not of the epoch in force.
    error EpochNotCurrent(uint32 given, uint32 current);

    /// @notice A rotation begins the epoch after the one in force.
    error EpochNotNext(uint32 given, uint32 next);

    /// @notice Epoch 63 is the last one.
    error EpochTooLarge(uint32 given);

    /// @notice The log has no such epoch yet.
    error EpochUnknown(bytes32 log, uint32 epoch);

    /// @notice The head has not more leaves than the anchored one.
    error SizeNotGrown(uint64 given, uint64 anchored);

    /// @notice The head is older than the anchored one.
    error TimeRegressed(uint64 given, uint64 anchored);

    /// @notice The head's time lies further ahead of the block's than clocks differ.
    error TimeInFuture(uint64 given, uint256 latest);

    /// @notice No tree has this root.
    error RootZero();

    /// @notice The revealed key is not the one that was committed to.
    error KeyNotCommitted(bytes32 committed, bytes32 given);

    /// @notice The two heads are of two logs.
    error LogsDiffer(bytes32 smaller, bytes32 larger);

    /// @notice The smaller head is a prefix of the larger one: nothing contradicts.
    error HeadsAgree(bytes32 root);

    /// @notice More items than a batch takes.
    error BatchTooLong(uint256 given, uint256 most);

    /// @notice An item failed without one of this contract's errors: the gas ran out.
    error BatchItemFailed(uint256 item);

    /// @notice Register a log. The id is computed here from all that is given, so nobody can register a log otherwise
    ///         than its operator would.
    /// @dev PROTOCOL.md ANCH-2, ID-1 to ID-3, KEY-16. That `ed25519` is a key cannot be checked on a chain.
    /// @param origin Name of the log, 1 to 255 bytes.
    /// @param key First secp256k1 key, 33 bytes compressed.
    /// @param ed25519 First Ed25519 key.
    /// @param nextHash Commitment to the next secp256k1 key; zero: the log cannot rotate.
    /// @return log Log id.
    function register(bytes calldata origin, bytes calldata key, bytes32 ed25519, bytes32 nextHash)
        external
        returns (bytes32 log);

    /// @notice Make a head the newest anchored one of its log.
    /// @dev PROTOCOL.md ANCH-3 to ANCH-6, ANCH-9, HEAD-3. The count and root that `proof` starts from are the stored
    ///      ones.
    /// @param checkpoint The head: of the epoch in force, with more leaves than the anchored one, not older, and at most
    ///        300 s ahead of the block.
    /// @param r First half of the signature.
    /// @param s Second half of the signature, at most n/2.
    /// @param v Recovery id, 0 or 1.
    /// @param proof Consistency path from the anchored head to `checkpoint`; empty for the first head.
    function anchor(NousLedger.Checkpoint calldata checkpoint, bytes32 r, bytes32 s, uint8 v, bytes32[] calldata proof)
        external;

    /// @notice Anchor several heads, of one log or of several; one that is refused stops no other.
    /// @dev PROTOCOL.md ANCH-7.
    /// @param items At most 64.
    /// @return outcomes For each item zero if it was accepted, else the selector of the error that refused it.
    function anchorBatch(Anchoring[] calldata items) external returns (bytes4[] memory outcomes);

    /// @notice Change a log's key to the one whose hash it committed to, or close the log.
    /// @dev PROTOCOL.md ANCH-8, KEY-14, KEY-19 to KEY-21.
    /// @param log Log id.
    /// @param epoch The epoch that begins: the one in force + 1, at most 63.
    /// @param key The revealed key, 33 bytes compressed.
    /// @param nextHash Commitment to the key after it; zero closes the log.
    /// @param r First half of the signature of `key` over the Rotation.
    /// @param s Second half of the signature, at most n/2.
    /// @param v Recovery id, 0 or 1.
    function rotate(bytes32 log, uint32 epoch, bytes calldata key, bytes32 nextHash, bytes32 r, bytes32 s, uint8 v)
        external;

    /// @notice Show that a log signed two heads that no one history has. Both epochs are flagged for ever; the flag
    ///         blocks nothing.
    /// @dev PROTOCOL.md ANCH-10.
    /// @param smaller The head over fewer leaves, or as many, signed by the signer of its epoch.
    /// @param larger The other head, signed by the signer of its epoch.
    /// @param prefixRoot Root of the first `smaller.head.size` leaves of the tree of `larger`; for equal sizes its root.
    /// @param proof Consistency path from (`smaller.head.size`, `prefixRoot`) to `larger`; empty for equal sizes.
    function reportFork(
        SignedHead calldata smaller,
        SignedHead calldata larger,
        bytes32 prefixRoot,
        bytes32[] calldata proof
    ) external;

    /// @notice The newest anchored head of a log. Before the first one: size 0, the empty tree's root, time 0.
    /// @param log Log id.
    /// @return newest The head, with the epoch in which it was signed.
    /// @return chain Running hash over the log's anchored heads; the log id before the first one (ANCH-9).
    /// @return anchors Number of heads anchored.
    function head(bytes32 log)
        external
        view
        returns (NousLedger.Checkpoint memory newest, bytes32 chain, uint64 anchors);

    /// @notice The keys of a log.
    /// @param log Log id.
    /// @return epoch The epoch in force.
    /// @return signer Address of its key.
    /// @return nextHash Commitment to the next key; zero: the log cannot rotate.
    /// @return closed Whether the log is closed.
    function keys(bytes32 log) external view returns (uint32 epoch, address signer, bytes32 nextHash, bool closed);

    /// @notice The signer of an epoch, and whether it was shown to have signed a fork.
    /// @param log Log id.
    /// @param epoch An epoch that has begun.
    /// @return signer Address of the epoch's key.
    /// @return forked Whether a reported fork has a head of this epoch.
    function signerOf(bytes32 log, uint32 epoch) external view returns (address signer, bool forked);

    /// @notice Revert unless `leaf` is leaf number `index` under the anchored head.
    /// @dev PROTOCOL.md ANCH-11, PROOF-1 to PROOF-4.
    /// @param log Log id.
    /// @param leaf Hash of the leaf.
    /// @param index Zero-based leaf index.
    /// @param proof Inclusion path of the anchored head's tree.
    function verifyInclusion(bytes32 log, bytes32 leaf, uint64 index, bytes32[] calldata proof) external view;

    /// @notice Revert unless the tree of `size` leaves with `root` is a prefix of the anchored head's tree.
    /// @dev PROTOCOL.md ANCH-11, PROOF-7 to PROOF-10. A path does not bind the counts: `size` and `root` belong to a
    ///      signed head.
    /// @param log Log id.
    /// @param size Leaves in the older tree, at least 1.
    /// @param root Its root.
    /// @param proof Consistency path to the anchored head.
    function verifyConsistency(bytes32 log, uint64 size, bytes32 root, bytes32[] calldata proof) external view;

    /// @notice Revert unless the record was signed by the key of its epoch in this log; nothing is said of the tree.
    /// @dev PROTOCOL.md ANCH-11, REC-1 to REC-5, REC-7. Where an epoch's records begin and end in the tree is not known
    ///      here.
    /// @param log Log id.
    /// @param record The whole record, 120 bytes.
    /// @return fields What the record says.
    /// @return leaf Its hash as a leaf, for `verifyInclusion` at `fields.index`.
    function verifyRecord(bytes32 log, bytes calldata record)
        external
        view
        returns (NousLedger.Record memory fields, bytes32 leaf);

    /// @notice Digest that a head's signature covers.
    /// @dev PROTOCOL.md KEY-13.
    /// @param checkpoint The head.
    function digest(NousLedger.Checkpoint calldata checkpoint) external pure returns (bytes32);

    /// @notice Digest that the revealed key signs to take over a log.
    /// @dev PROTOCOL.md KEY-14.
    /// @param log Log id.
    /// @param epoch The epoch that begins.
    /// @param nextHash Commitment to the key after the revealed one; zero closes the log.
    function rotationDigest(bytes32 log, uint32 epoch, bytes32 nextHash) external pure returns (bytes32);
}
