// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {INousAnchor} from "../../src/INousAnchor.sol";

/// @dev The part of forge's cheat codes that these tests use, and assertions that say what differs.
interface Vm {
    struct Wallet {
        address addr;
        uint256 publicKeyX;
        uint256 publicKeyY;
        uint256 privateKey;
    }

    function assume(bool condition) external pure;
    function createWallet(uint256 privateKey) external returns (Wallet memory);
    function expectEmit() external;
    function expectRevert(bytes calldata data) external;
    function keyExistsJson(string calldata json, string calldata key) external view returns (bool);
    function load(address target, bytes32 slot) external view returns (bytes32);
    function parseBytes(string calldata text) external pure returns (bytes memory);
    function parseJsonBytes(string calldata json, string calldata key) external pure returns (bytes memory);
    function parseJsonString(string calldata json, string calldata key) external pure returns (string memory);
    function parseJsonStringArray(string calldata json, string calldata key) external pure returns (string[] memory);
    function parseUint(string calldata text) external pure returns (uint256);
    function readFile(string calldata path) external view returns (string memory);
    function setEvmVersion(string calldata name) external;
    function sign(uint256 privateKey, bytes32 digest) external pure returns (uint8 v, bytes32 r, bytes32 s);
    function snapshotGasLastCall(string calldata group, string calldata name) external returns (uint256);
    function toString(uint256 value) external pure returns (string memory);
    function warp(uint256 timestamp) external;
}

/// @dev What every test contract here is.
abstract contract Checks {
    Vm internal constant vm = Vm(address(uint160(uint256(keccak256("hevm cheat code")))));

    error NotDeployed();
    error NotEqual(string what, bytes32 actual, bytes32 expected);
    error Untrue(string what);

    /// @dev The anchor contract, from the code that the Python package carries.
    function deployAnchor() internal returns (INousAnchor deployed) {
        bytes memory code = vm.parseJsonBytes(vm.readFile("../nous_ledger/anchor/contract.json"), ".creationCode");
        assembly ("memory-safe") {
            deployed := create(0, add(code, 32), mload(code))
        }
        if (address(deployed).code.length == 0) revert NotDeployed();
    }

    function isTrue(string memory what, bool condition) internal pure {
        if (!condition) revert Untrue(what);
    }

    function same(string memory what, bytes32 actual, bytes32 expected) internal pure {
        if (actual != expected) revert NotEqual(what, actual, expected);
    }

    function same(string memory what, uint256 actual, uint256 expected) internal pure {
        same(what, bytes32(actual), bytes32(expected));
    }

    function same(string memory what, address actual, address expected) internal pure {
        same(what, uint160(actual), uint160(expected));
    }

    /// @dev A number in low..high that depends on `draw` alone.
    function within(uint256 draw, uint256 low, uint256 high) internal pure returns (uint256) {
        return low + draw % (high - low + 1);
    }
}
