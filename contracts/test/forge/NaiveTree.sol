// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @title RFC 9162 trees by the recursion that the RFC defines them with
/// @dev Another shape than the library's on purpose: no bit is counted here, and no loop folds a path.
library NaiveTree {
    function node(bytes32 left, bytes32 right) internal pure returns (bytes32) {
        return sha256(abi.encodePacked(uint8(1), left, right));
    }

    /// @dev The largest power of two below `count`, for count > 1.
    function split(uint256 count) internal pure returns (uint256 k) {
        for (k = 1; k * 2 < count; k *= 2) {}
    }

    /// @dev MTH(D[start:end]).
    function root(bytes32[] memory leaves, uint256 start, uint256 end) internal pure returns (bytes32) {
        if (end - start == 1) return leaves[start];
        uint256 k = start + split(end - start);
        return node(root(leaves, start, k), root(leaves, k, end));
    }

    /// @dev PATH(index, D[start:end]), index counted from the start of the whole list.
    function inclusion(bytes32[] memory leaves, uint256 index, uint256 start, uint256 end)
        internal
        pure
        returns (bytes32[] memory)
    {
        if (end - start == 1) return new bytes32[](0);
        uint256 k = start + split(end - start);
        if (index < k) return append(inclusion(leaves, index, start, k), root(leaves, k, end));
        return append(inclusion(leaves, index, k, end), root(leaves, start, k));
    }

    /// @dev PROOF(oldCount, D[0:newCount]).
    function consistency(bytes32[] memory leaves, uint256 oldCount, uint256 newCount)
        internal
        pure
        returns (bytes32[] memory)
    {
        return _subproof(leaves, oldCount, 0, newCount, true);
    }

    function _subproof(bytes32[] memory leaves, uint256 oldCount, uint256 start, uint256 end, bool whole)
        private
        pure
        returns (bytes32[] memory)
    {
        if (oldCount == end) {
            bytes32[] memory none = new bytes32[](0);
            return whole ? none : append(none, root(leaves, start, end));
        }
        uint256 k = start + split(end - start);
        if (oldCount <= k) return append(_subproof(leaves, oldCount, start, k, whole), root(leaves, k, end));
        return append(_subproof(leaves, oldCount, k, end, false), root(leaves, start, k));
    }

    function append(bytes32[] memory words, bytes32 word) internal pure returns (bytes32[] memory longer) {
        longer = new bytes32[](words.length + 1);
        for (uint256 k = 0; k < words.length; ++k) {
            longer[k] = words[k];
        }
        longer[words.length] = word;
    }

    /// @dev The same words, the last one left out.
    function shorten(bytes32[] memory words) internal pure returns (bytes32[] memory shorter) {
        shorter = new bytes32[](words.length - 1);
        for (uint256 k = 0; k < shorter.length; ++k) {
            shorter[k] = words[k];
        }
    }

    /// @dev `count` leaves that differ from each other, and from those of another seed.
    function leavesOf(uint256 seed, uint256 count) internal pure returns (bytes32[] memory leaves) {
        leaves = new bytes32[](count);
        for (uint256 k = 0; k < count; ++k) {
            leaves[k] = keccak256(abi.encode(seed, k));
        }
    }
}
