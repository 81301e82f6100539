// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {INousAnchor} from "../../src/INousAnchor.sol";
import {NousLedger} from "../../src/NousLedger.sol";
import {Rfc9162} from "../../src/Rfc9162.sol";
import {NousLedgerHarness} from "../NousLedgerHarness.sol";
import {Checks} from "./Vm.sol";

/// @title The project's JSON vectors, as every implementation runs them
contract VectorsTest is Checks {
    NousLedgerHarness private _library = new NousLedgerHarness();
    INousAnchor private _anchor = deployAnchor();
    string private _json;

    function test_inclusion() public {
        uint256 valid = _run("../vectors/inclusion.json", "Inclusion", _inclusion);
        isTrue("valid cases", valid > 10);
    }

    function test_consistency() public {
        uint256 valid = _run("../vectors/consistency.json", "Consistency", _consistency);
        isTrue("valid cases", valid > 10);
    }

    function test_headDigests() public {
        same("cases", _run("../vectors/eip712.json", "HeadDigest", _headDigest), 3);
    }

    function test_rotationDigests() public {
        same("cases", _run("../vectors/eip712.json", "RotationDigest", _rotationDigest), 2);
    }

    /// @dev Judge every case of the groups of one type; return how many are valid.
    function _run(
        string memory file,
        string memory kind,
        function(string memory) internal view returns (bytes memory) judge
    ) private returns (uint256 valid) {
        _json = vm.readFile(file);
        for (uint256 group = 0; vm.keyExistsJson(_json, _at(".testGroups", group)); ++group) {
            string memory tests = string.concat(_at(".testGroups", group), ".tests");
            if (!_equal(_text(string.concat(_at(".testGroups", group), ".type")), kind)) continue;
            for (uint256 k = 0; vm.keyExistsJson(_json, _at(tests, k)); ++k) {
                bytes memory refusal = judge(_at(tests, k));
                _compare(_text(string.concat(_at(tests, k), ".error")), refusal);
                if (refusal.length == 0) ++valid;
            }
        }
    }

    /// @dev The refusal is the error that stands for the case's code.
    function _compare(string memory code, bytes memory refusal) private pure {
        bytes4 found = refusal.length < 4 ? bytes4(0) : bytes4(refusal);
        bytes4 expected;
        if (_equal(code, "proof-index")) expected = Rfc9162.ProofIndexOutOfRange.selector;
        else if (_equal(code, "proof-counts")) expected = Rfc9162.ProofCountsInvalid.selector;
        else if (_equal(code, "proof-shape")) expected = Rfc9162.ProofLengthWrong.selector;
        else if (_equal(code, "root-mismatch")) expected = Rfc9162.ProofRootMismatch.selector;
        else isTrue(code, bytes(code).length == 0);
        same(code, found, expected);
    }

    function _inclusion(string memory where) private view returns (bytes memory) {
        (bool whole, bytes32[] memory path) = _path(where);
        if (!whole) return abi.encodeWithSelector(Rfc9162.ProofLengthWrong.selector);
        try _library.verifyInclusion(
            _word(where, ".leaf"),
            _number(where, ".leafIndex"),
            _number(where, ".leafCount"),
            path,
            _word(where, ".root")
        ) {
            return "";
        } catch (bytes memory refusal) {
            return refusal;
        }
    }

    function _consistency(string memory where) private view returns (bytes memory) {
        (bool whole, bytes32[] memory path) = _path(where);
        if (!whole) return abi.encodeWithSelector(Rfc9162.ProofLengthWrong.selector);
        try _library.verifyConsistency(
            _number(where, ".firstCount"),
            _word(where, ".firstRoot"),
            _number(where, ".secondCount"),
            _word(where, ".secondRoot"),
            path
        ) {
            return "";
        } catch (bytes memory refusal) {
            return refusal;
        }
    }

    function _headDigest(string memory where) private view returns (bytes memory) {
        NousLedger.Checkpoint memory head = NousLedger.Checkpoint({
            log: _word(where, ".logId"),
            epoch: uint32(_number(where, ".epoch")),
            size: uint64(_number(where, ".leafCount")),
            root: _word(where, ".root"),
            timestamp: uint64(_number(where, ".timestamp"))
        });
        same("digest", _anchor.digest(head), _word(where, ".digest"));
        return "";
    }

    function _rotationDigest(string memory where) private view returns (bytes memory) {
        bytes32 found =
            _anchor.rotationDigest(_word(where, ".logId"), uint32(_number(where, ".epoch")), _word(where, ".nextHash"));
        same("digest", found, _word(where, ".digest"));
        return "";
    }

    /// @dev The words of a path, and whether all of them are words: others cannot be sent to a contract.
    function _path(string memory where) private view returns (bool whole, bytes32[] memory path) {
        string[] memory texts = vm.parseJsonStringArray(_json, string.concat(where, ".path"));
        path = new bytes32[](texts.length);
        for (uint256 k = 0; k < texts.length; ++k) {
            bytes memory word = vm.parseBytes(string.concat("0x", texts[k]));
            if (word.length != 32) return (false, path);
            path[k] = bytes32(word);
        }
        return (true, path);
    }

    function _word(string memory where, string memory name) private view returns (bytes32) {
        return bytes32(vm.parseBytes(string.concat("0x", _text(string.concat(where, name)))));
    }

    /// @dev Written as a number or as text of digits.
    function _number(string memory where, string memory name) private view returns (uint256) {
        return vm.parseUint(_text(string.concat(where, name)));
    }

    function _text(string memory key) private view returns (string memory) {
        return vm.parseJsonString(_json, key);
    }

    function _at(string memory list, uint256 index) private pure returns (string memory) {
        return string.concat(list, "[", vm.toString(index), "]");
    }

    function _equal(string memory one, string memory two) private pure returns (bool) {
        return keccak256(bytes(one)) == keccak256(bytes(two));
    }
}
