// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @title RFC 9162 Merkle tree with SHA-256: hashes, inclusion and consistency
/// @notice Verifies proofs against tree roots. Nothing is stored and nothing is trusted but the arguments.
/// @dev PROTOCOL.md, section "Tree". Security notes:
///      - The length of every path follows from the counts and is checked before the first hash: a missing or a
///        left-over word reverts, and no loop runs more than 54 times (PROTOCOL.md allows 63).
///      - A function named `verify…` returns only when the claim holds; it never returns a flag to be forgotten.
///      - A consistency path does not bind the counts (the path for 4 to 6 leaves also verifies as 1 to 2): callers
///        take counts and roots from a signed head or from storage, never from whoever brings the path.
library Rfc9162 {
    /// @dev Largest leaf count, and largest integer of the protocol: 2^53 - 1 (TYPE-1).
    uint256 internal constant MAX_COUNT = (1 << 53) - 1;

    /// @notice The index does not lie in the tree. PROTOCOL.md code: proof-index.
    error ProofIndexOutOfRange(uint256 index, uint256 count);

    /// @notice The counts name no pair of trees: zero, shrinking, or above 2^53 - 1. PROTOCOL.md code: proof-counts.
    error ProofCountsInvalid(uint256 oldCount, uint256 newCount);

    /// @notice The path has not exactly as many hashes as the counts imply. PROTOCOL.md code: proof-shape.
    error ProofLengthWrong(uint256 expected, uint256 actual);

    /// @notice The path leads to another root than the one given. PROTOCOL.md code: root-mismatch.
    error ProofRootMismatch(bytes32 expected, bytes32 computed);

    /// @notice SHA-256 is not available at its address on this chain, or the gas ran out.
    error Sha256Unavailable();

    /// @notice Hash of a leaf: SHA-256(0x00 || entry).
    /// @param entry Bytes of the log entry.
    function leafHash(bytes memory entry) internal pure returns (bytes32) {
        return sha256(abi.encodePacked(hex"00", entry));
    }

    /// @notice Hash of an inner node: SHA-256(0x01 || left || right).
    /// @dev PROTOCOL.md MMR-1. Written against the precompile at address 2 because this is the inner loop of every
    ///      proof; the 65 bytes are laid out behind the free memory pointer, which does not move.
    /// @param left Hash of the left child.
    /// @param right Hash of the right child.
    function nodeHash(bytes32 left, bytes32 right) internal view returns (bytes32 node) {
        bool done;
        assembly ("memory-safe") {
            let data := mload(0x40)
            mstore8(data, 1)
            mstore(add(data, 1), left)
            mstore(add(data, 33), right)
            // Arguments are evaluated from the right: the size is that of this call's answer, never of an older one.
            done := and(eq(returndatasize(), 32), staticcall(gas(), 2, data, 65, 0, 32))
            node := mload(0)
        }
        if (!done) revert Sha256Unavailable();
    }

    /// @notice Number of hashes in the inclusion path of leaf `index` in a tree of `count` leaves.
    /// @dev PROTOCOL.md PROOF-1, PROOF-2.
    /// @param index Zero-based leaf index, below `count`.
    /// @param count Leaves in the tree, 1 to 2^53 - 1.
    function inclusionLength(uint256 index, uint256 count) internal pure returns (uint256) {
        uint256 inner = _inclusionInner(index, count);
        return inner + _popCount(index >> inner);
    }

    /// @notice Number of hashes in the consistency path from `oldCount` to `newCount` leaves.
    /// @dev PROTOCOL.md PROOF-7, PROOF-9.
    /// @param oldCount Leaves in the older tree, 1 to `newCount`.
    /// @param newCount Leaves in the newer tree, at most 2^53 - 1.
    function consistencyLength(uint256 oldCount, uint256 newCount) internal pure returns (uint256) {
        _checkCounts(oldCount, newCount);
        if (oldCount == newCount) return 0;
        (uint256 start, uint256 inner, uint256 turns) = _consistencyShape(oldCount, newCount);
        return start + inner + _popCount(turns >> inner);
    }

    /// @notice Revert unless `leaf` is leaf number `index` of the tree of `count` leaves with this `root`.
    /// @dev PROTOCOL.md PROOF-1 to PROOF-4, verify_inclusion.
    /// @param leaf Hash of the leaf.
    /// @param index Zero-based leaf index, below `count`.
    /// @param count Leaves in the tree, 1 to 2^53 - 1.
    /// @param path Sibling hashes from the leaf upwards; empty exactly for the only leaf of a tree.
    /// @param root Root of the tree.
    function verifyInclusion(bytes32 leaf, uint256 index, uint256 count, bytes32[] calldata path, bytes32 root)
        internal
        view
    {
        uint256 inner = _inclusionInner(index, count);
        uint256 length = inner + _popCount(index >> inner);
        if (path.length != length) revert ProofLengthWrong(length, path.length);

        bytes32 computed = leaf;
        for (uint256 level = 0; level < length; ++level) {
            // Below `inner` the index says on which side the sibling stands. Above, the way up is the right edge of
            // the tree, where levels without a sibling carry no hash and every sibling stands on the left.
            if (level >= inner || (index >> level) & 1 == 1) computed = nodeHash(path[level], computed);
            else computed = nodeHash(computed, path[level]);
        }
        if (computed != root) revert ProofRootMismatch(root, computed);
    }

    /// @notice Revert unless the tree of `oldCount` leaves with `oldRoot` is a prefix of the tree of `newCount`
    ///         leaves with `newRoot`.
    /// @dev PROTOCOL.md PROOF-7 to PROOF-10, verify_consistency.
    /// @param oldCount Leaves in the older tree, 1 to `newCount`: every tree extends the empty one, so zero proves
    ///        nothing and is refused.
    /// @param oldRoot Root of the older tree.
    /// @param newCount Leaves in the newer tree, at most 2^53 - 1.
    /// @param newRoot Root of the newer tree.
    /// @param path Hashes of RFC 9162 section 2.1.4; empty exactly for equal counts, whose roots must be equal.
    function verifyConsistency(
        uint256 oldCount,
        bytes32 oldRoot,
        uint256 newCount,
        bytes32 newRoot,
        bytes32[] calldata path
    ) internal view {
        _checkCounts(oldCount, newCount);
        if (oldCount == newCount) {
            if (path.length != 0) revert ProofLengthWrong(0, path.length);
            if (oldRoot != newRoot) revert ProofRootMismatch(oldRoot, newRoot);
            return;
        }
        (uint256 start, uint256 inner, uint256 turns) = _consistencyShape(oldCount, newCount);
        uint256 length = start + inner + _popCount(turns >> inner);
        if (path.length != length) revert ProofLengthWrong(length, path.length);

        // Both roots are rebuilt from the subtree that ends the older tree. If the older tree is one perfect subtree
        // its root is that start, and the path does not repeat it.
        bytes32 computedOld = start == 0 ? oldRoot : path[0];
        bytes32 computedNew = computedOld;
        bool done = true;
        assembly ("memory-safe") {
            // As nodeHash, with the prefix written once; from level `inner` on every sibling stands on the left.
            let data := mload(0x40)
            let left := add(data, 1)
            let right := add(data, 33)
            mstore8(data, 1)
            turns := or(turns, shl(inner, not(0)))
            let end := add(path.offset, shl(5, length))
            for { let word := add(path.offset, shl(5, start)) } lt(word, end) { word := add(word, 32) } {
                switch and(turns, 1)
                case 0 {
                    mstore(left, computedNew)
                    calldatacopy(right, word, 32)
                }
                default {
                    calldatacopy(left, word, 32)
                    mstore(right, computedOld)
                    done := and(done, and(eq(returndatasize(), 32), staticcall(gas(), 2, data, 65, 0, 32)))
                    computedOld := mload(0)
                    mstore(right, computedNew)
                }
                done := and(done, and(eq(returndatasize(), 32), staticcall(gas(), 2, data, 65, 0, 32)))
                computedNew := mload(0)
                turns := shr(1, turns)
            }
        }
        if (!done) revert Sha256Unavailable();
        if (computedOld != oldRoot) revert ProofRootMismatch(oldRoot, computedOld);
        if (computedNew != newRoot) revert ProofRootMismatch(newRoot, computedNew);
    }

    /// @dev Levels on which the way from leaf `index` still has a subtree to its right or an inner turn: from there
    ///      up it is the right edge of the tree.
    function _inclusionInner(uint256 index, uint256 count) private pure returns (uint256) {
        if (count > MAX_COUNT) revert ProofCountsInvalid(count, count);
        if (index >= count) revert ProofIndexOutOfRange(index, count);
        unchecked {
            return _bitLength(index ^ (count - 1));
        }
    }

    /// @dev The path is the inclusion path of the older tree's last leaf in the newer tree, begun at the largest
    ///      perfect subtree that ends with this leaf. For 1 <= oldCount < newCount:
    ///      `start` 1 if the path's first hash is that subtree, 0 if the subtree is the whole older tree;
    ///      `inner` levels above it that are not yet the right edge of the newer tree, at least 1;
    ///      `turns` bit k set: at level k the sibling stands on the left, so it belongs to both trees.
    function _consistencyShape(uint256 oldCount, uint256 newCount)
        private
        pure
        returns (uint256 start, uint256 inner, uint256 turns)
    {
        unchecked {
            uint256 last = oldCount - 1;
            start = oldCount & last == 0 ? 0 : 1;
            // oldCount ends in this many zero bits and oldCount - 1 in as many ones; newCount - 1 >= oldCount differs
            // from oldCount - 1 above them, so the subtraction cannot wrap.
            uint256 height = _popCount(last & ~oldCount);
            inner = _bitLength(last ^ (newCount - 1)) - height;
            turns = last >> height;
        }
    }

    function _checkCounts(uint256 oldCount, uint256 newCount) private pure {
        if (oldCount == 0 || oldCount > newCount || newCount > MAX_COUNT) {
            revert ProofCountsInvalid(oldCount, newCount);
        }
    }

    /// @dev Position of the highest set bit plus one, for x < 2^64.
    function _bitLength(uint256 x) private pure returns (uint256) {
        x |= x >> 1;
        x |= x >> 2;
        x |= x >> 4;
        x |= x >> 8;
        x |= x >> 16;
        x |= x >> 32;
        return _popCount(x);
    }

    /// @dev Number of set bits, for x < 2^64: sums over pairs, nibbles, bytes, then all bytes by one multiplication.
    function _popCount(uint256 x) private pure returns (uint256) {
        unchecked {
            x -= (x >> 1) & 0x5555555555555555;
            x = (x & 0x3333333333333333) + ((x >> 2) & 0x3333333333333333);
            x = (x + (x >> 4)) & 0x0f0f0f0f0f0f0f0f;
            return ((x * 0x0101010101010101) >> 56) & 0xff;
        }
    }
}
