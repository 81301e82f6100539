// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @title secp256k1 signatures with one accepted form, and addresses of compressed keys
/// @dev PROTOCOL.md, section "Signatures". Security notes:
///      - The `ecrecover` precompile accepts both s and n - s and answers zero for what it cannot recover. Here only
///        the low s is accepted, and the zero address is never a signer.
///      - Signatures carry the recovery id as v, 0 or 1; the values 27 and 28 of other tools are refused.
library Secp256k1 {
    /// @dev Order of the group.
    uint256 internal constant N = 0xfffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141;

    /// @dev Prime of the field.
    uint256 internal constant P = 0xfffffffffffffffffffffffffffffffffffffffffffffffffffffffefffffc2f;

    /// @notice r or s does not lie in 1..n-1. PROTOCOL.md code: malformed.
    error SignatureMalformed(bytes32 r, bytes32 s);

    /// @notice s is above n/2: the same signature in its second, refused form. PROTOCOL.md code: high-s.
    error SignatureHighS(bytes32 s);

    /// @notice v is neither 0 nor 1. PROTOCOL.md code: bad-recovery-id.
    error SignatureBadRecoveryId(uint8 v);

    /// @notice The signature is another key's, or (`recovered` zero) no key's. PROTOCOL.md code: mismatch.
    error SignatureMismatch(address expected, address recovered);

    /// @notice Not the 33 bytes of a compressed point of the curve.
    error KeyInvalid(bytes key);

    /// @notice Revert unless `signer` signed `digest`.
    /// @dev PROTOCOL.md KEY-6 to KEY-9, in the order of KEY-10: range of r and s, low s, recovery id, recovered key.
    ///      Equal addresses stand for equal keys: they differ only for a collision of 160 bits of Keccak-256.
    /// @param digest 32-byte digest that was signed.
    /// @param r First half of the signature.
    /// @param s Second half of the signature, at most n/2.
    /// @param v Recovery id, 0 or 1.
    /// @param signer Address of the expected key; the zero address is never accepted.
    function verifySignature(bytes32 digest, bytes32 r, bytes32 s, uint8 v, address signer) internal pure {
        if (r == 0 || s == 0 || uint256(r) >= N || uint256(s) >= N) revert SignatureMalformed(r, s);
        if (uint256(s) > N / 2) revert SignatureHighS(s);
        if (v > 1) revert SignatureBadRecoveryId(v);
        address recovered = ecrecover(digest, 27 + v, r, s);
        if (recovered == address(0) || recovered != signer) revert SignatureMismatch(signer, recovered);
    }

    /// @notice Address of a compressed public key: the last 20 bytes of Keccak-256(x || y).
    /// @dev PROTOCOL.md KEY-16. y is the square root of x^3 + 7 with the parity that the prefix names; P = 3 mod 4, so
    ///      the root is the power (P + 1) / 4, and squaring it tells whether there is one.
    /// @param key 33 bytes: 0x02 or 0x03, then x.
    function addressOf(bytes memory key) internal view returns (address) {
        if (key.length != 33 || (key[0] != 0x02 && key[0] != 0x03)) revert KeyInvalid(key);
        uint256 x;
        assembly ("memory-safe") {
            x := mload(add(key, 33)) // Behind the length word and the prefix byte.
        }
        if (x >= P) revert KeyInvalid(key);
        uint256 square = addmod(mulmod(mulmod(x, x, P), x, P), 7, P);
        uint256 y = _power(square, (P + 1) / 4);
        if (mulmod(y, y, P) != square) revert KeyInvalid(key);
        if (y & 1 != uint8(key[0]) & 1) y = P - y;
        return address(uint160(uint256(keccak256(abi.encode(x, y)))));
    }

    /// @dev base^exponent mod P by the precompile at address 5. Where it is missing the answer is 0, which is no
    ///      square root of x^3 + 7: the curve has no point with y = 0.
    function _power(uint256 base, uint256 exponent) private view returns (uint256 result) {
        (bool done, bytes memory answer) = address(5).staticcall(abi.encode(32, 32, 32, base, exponent, P));
        if (done && answer.length == 32) result = abi.decode(answer, (uint256));
    }
}
