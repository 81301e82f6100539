"""An EVM for tests: anvil on loopback, and calls to one deployed contract in batches."""

from __future__ import annotations

import http.client
import json
import re
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.contracts.abi import AbiType, AbiValue, decode, encode
from tests.contracts.solidity import Artifact

CHAIN_ID = 8453
BATCH = 250
PATIENCE_SECONDS = 20


@dataclass(frozen=True, slots=True)
class Call:
    """A call of a function of the contract by name."""

    function: str
    args: tuple[AbiValue, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """What a call finds instead of the chain's state: slots of the contract, the block's time."""

    slots: dict[str, str]
    time: int


@dataclass(frozen=True, slots=True)
class Returned:
    """The call came back with these values; a struct is spread into its members."""

    values: tuple[AbiValue, ...] = ()


@dataclass(frozen=True, slots=True)
class Reverted:
    """The call was refused; without a declared error the name is empty and data says the rest."""

    error: str
    args: tuple[AbiValue, ...] = ()


Outcome = Returned | Reverted


class JsonRpc:
    """JSON-RPC over one kept HTTP connection to a node on loopback."""

    def __init__(self, port: int) -> None:
        self.port = port
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)

    def close(self) -> None:
        self._connection.close()

    def _post(self, body: object) -> Any:
        headers = {"Content-Type": "application/json"}
        self._connection.request("POST", "/", json.dumps(body), headers)
        return json.loads(self._connection.getresponse().read())

    def batch(self, method: str, params: Sequence[list[Any]]) -> list[dict[str, Any]]:
        """Return the node's answers, `result` or `error`, in the order of the parameters."""
        answers: list[dict[str, Any]] = []
        for start in range(0, len(params), BATCH):
            part = [
                {"jsonrpc": "2.0", "id": start + k, "method": method, "params": one}
                for k, one in enumerate(params[start : start + BATCH])
            ]
            by_id = {answer["id"]: answer for answer in self._post(part)}
            answers += [by_id[request["id"]] for request in part]
        return answers

    def __call__(self, method: str, *params: Any) -> Any:
        (answer,) = self.batch(method, [list(params)])
        assert "error" not in answer, answer
        return answer["result"]


def transact(rpc: JsonRpc, transaction: dict[str, str]) -> dict[str, Any]:
    """Send a transaction and return its receipt; anvil mines it a moment after taking it."""
    sent = rpc("eth_sendTransaction", transaction)
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline:
        receipt: dict[str, Any] | None = rpc("eth_getTransactionReceipt", sent)
        if receipt is not None:
            assert receipt["status"] == "0x1", receipt
            return receipt
        time.sleep(0.01)
    raise AssertionError(f"transaction {sent} was not mined in {PATIENCE_SECONDS} s")


class Contract:
    """A deployed contract whose functions are called by name."""

    def __init__(self, rpc: JsonRpc, artifact: Artifact) -> None:
        self._rpc = rpc
        self._sender = rpc("eth_accounts")[0]
        self._inputs: dict[str, tuple[AbiType, ...]] = {}
        self._outputs: dict[str, tuple[AbiType, ...]] = {}
        self._selectors = {
            signature.partition("(")[0]: bytes.fromhex(selector)
            for signature, selector in artifact.selectors.items()
        }
        errors = [entry for entry in artifact.abi if entry["type"] == "error"]
        for entry in artifact.abi:
            if entry["type"] == "function":
                self._inputs[entry["name"]] = tuple(map(AbiType.of, entry["inputs"]))
                self._outputs[entry["name"]] = tuple(map(AbiType.of, entry["outputs"]))
        signatures = [_signature(entry) for entry in errors]
        hashes = rpc.batch("web3_sha3", [["0x" + text.encode().hex()] for text in signatures])
        self.errors: dict[bytes, tuple[str, tuple[AbiType, ...]]] = {
            bytes.fromhex(answer["result"][2:10]): (
                entry["name"],
                tuple(map(AbiType.of, entry["inputs"])),
            )
            for answer, entry in zip(hashes, errors, strict=True)
        }
        receipt = self._send({"data": "0x" + artifact.creation_code.hex()})
        self.address: str = receipt["contractAddress"]

    def selector(self, error: str) -> bytes:
        """Return the four bytes of an error's name."""
        (found,) = [selector for selector, (name, _) in self.errors.items() if name == error]
        return found

    def _send(self, transaction: dict[str, str]) -> dict[str, Any]:
        return transact(self._rpc, {"from": self._sender, **transaction})

    def data(self, call: Call) -> str:
        """Return the calldata of a call, as JSON-RPC writes it."""
        encoded = encode(self._inputs[call.function], call.args)
        return "0x" + (self._selectors[call.function] + encoded).hex()

    def _outcome(self, call: Call, answer: dict[str, Any]) -> Outcome:
        if "error" not in answer:
            data = bytes.fromhex(answer["result"].removeprefix("0x"))
            return Returned(decode(self._outputs[call.function], data))
        data = bytes.fromhex(answer["error"].get("data", "0x").removeprefix("0x"))
        if data[:4] not in self.errors:
            return Reverted("", (data, answer["error"]["message"].encode()))
        name, types = self.errors[data[:4]]
        return Reverted(name, decode(types, data[4:]))

    def run(self, calls: Sequence[Call], states: Sequence[State] = ()) -> list[Outcome]:
        """Execute every call apart and return the outcomes in order.

        Each starts from the newest block, or from that block changed as the state of the same
        place says.
        """
        requests: list[list[Any]] = [
            [{"to": self.address, "data": self.data(call)}, "latest"] for call in calls
        ]
        for request, state in zip(requests, states, strict=bool(states)):
            request += [
                {self.address: {"stateDiff": state.slots}},
                {"time": hex(state.time)},
            ]
        answers = self._rpc.batch("eth_call", requests)
        return [self._outcome(call, one) for call, one in zip(calls, answers, strict=True)]

    def call(self, function: str, *args: AbiValue) -> Outcome:
        """Execute one call."""
        return self.run([Call(function, args)])[0]

    def send(self, function: str, *args: AbiValue) -> dict[str, Any]:
        """Send a transaction that makes this call and nothing else; return its receipt."""
        return self._send({"to": self.address, "data": self.data(Call(function, args))})

    def gas(self, function: str, *args: AbiValue) -> int:
        """Return the gas of a transaction that makes this call and nothing else."""
        return int(self.send(function, *args)["gasUsed"], 16)


def _signature(entry: dict[str, Any]) -> str:
    """Return the text whose Keccak-256 begins with the selector; our errors take no structs."""
    return f"{entry['name']}({','.join(parameter['type'] for parameter in entry['inputs'])})"


def _port_of(process: subprocess.Popen[bytes], log: Path) -> int:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        listening = re.search(r"Listening on 127\.0\.0\.1:(\d+)\n", log.read_text("utf-8"))
        if listening:
            return int(listening[1])
        time.sleep(0.02)
    raise AssertionError(f"anvil did not start:\n{log.read_text('utf-8')}")


@contextmanager
def running_anvil(program: str, *options: str) -> Iterator[JsonRpc]:
    """Run a private chain on a free port of loopback until the block ends.

    By its number it is Base, unless `options` say otherwise.
    """
    usual = ["--host", "127.0.0.1", "--port", "0"]
    if "--chain-id" not in options:
        usual += ["--chain-id", str(CHAIN_ID)]
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder, "anvil.log")
        with log.open("wb") as output:
            process = subprocess.Popen(
                [program, *usual, *options],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=folder,
            )
        try:
            with closing(JsonRpc(_port_of(process, log))) as rpc:
                yield rpc
        finally:
            process.terminate()
            process.wait(timeout=10)
