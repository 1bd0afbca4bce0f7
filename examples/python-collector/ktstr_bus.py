"""A client of a ktstr run's bus, as docs/protocol.md describes it: find the run, hear every event, state lines.

Needs pyzmq, the FlatBuffers runtime and the code that flatc generates from schemas/*.fbs (README.md).
"""

import json
import os
import struct
import subprocess
import time

import flatbuffers
import zmq

from ktstr import ClientJoined, ClientRefused, CollectorLine, Event, Stamp
from ktstr.Payload import Payload

SCHEMA_VERSION = 1
LOG_MAGIC = b"KTSTRLOG"
LOG_FORMAT_VERSION = 1
LOG_HEADER_BYTES = 32
MAX_EVENT_BYTES = 16 << 20


class ProtocolError(Exception):
    """The log or the bus does not keep to the protocol; the text says where."""


class Refused(Exception):
    """The hub does not take what we send; the text is its reason."""


# ------------------------------------------------------------------------------------------------ runs

class Run:
    """A live run: where its sockets and its log are."""

    def __init__(self, facts):
        self.run_id = facts["run_id"]
        self.bus = facts["bus"]
        self.log = facts["log"]
        self.start_ns = facts["start_ns"]  # CLOCK_MONOTONIC of the host: the zero of stamp.host_ns

    def alive(self):
        return os.path.exists(self.bus + "/run.json")

    def elapsed_ns(self):
        return time.clock_gettime_ns(time.CLOCK_MONOTONIC) - self.start_ns


def live_runs(ktstr_launch="ktstr-launch"):
    """Live runs of this user, oldest first."""
    return [Run(r) for r in json.loads(subprocess.check_output([ktstr_launch, "runs", "--json"]))]


def find_run(wanted="latest", ktstr_launch="ktstr-launch", patience_s=0.0):
    """The newest run, or the one whose id holds `wanted`; waits up to `patience_s` for one to start."""
    until = time.monotonic() + patience_s
    while True:
        runs = [r for r in live_runs(ktstr_launch) if wanted in ("latest", r.run_id) or wanted in r.run_id]
        if runs:
            return runs[-1]
        if time.monotonic() >= until:
            raise LookupError("no live run" + ("" if wanted == "latest" else " is called " + wanted))
        time.sleep(0.2)


# ------------------------------------------------------------------------------------------------ the log

def _crc32c_table():
    table = []
    for n in range(256):
        for _ in range(8):
            n = (n >> 1) ^ (0x82F63B78 if n & 1 else 0)
        table.append(n)
    return table


_CRC32C = _crc32c_table()


def crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc = _CRC32C[(crc ^ byte) & 0xFF] ^ (crc >> 8)
    return crc ^ 0xFFFFFFFF


class Log:
    """events.ktlog, also while the hub writes it (docs/log-format.md)."""

    def __init__(self, path):
        self._file = open(path, "rb")
        header = self._file.read(LOG_HEADER_BYTES)
        if len(header) < LOG_HEADER_BYTES or header[:8] != LOG_MAGIC:
            raise ProtocolError(path + ": not an event log")
        fmt, schema = struct.unpack_from("<II", header, 8)
        if fmt != LOG_FORMAT_VERSION or schema > SCHEMA_VERSION:
            raise ProtocolError(f"{path}: format {fmt}, schema {schema}; this program reads 1 and {SCHEMA_VERSION}")
        self.path = path
        self._offset = LOG_HEADER_BYTES

    def next(self, newer_than=0):
        """The next event with a higher number, or None at the present end. Call again later: the end moves."""
        while True:
            self._file.seek(self._offset)
            header = self._file.read(8)
            if len(header) < 8:
                return None
            length, crc = struct.unpack("<II", header)
            if not 8 <= length <= MAX_EVENT_BYTES:
                raise ProtocolError(f"{self.path}: record of {length} bytes at offset {self._offset}")
            payload = self._file.read(length)
            if len(payload) < length:
                return None
            event = Event.Event.GetRootAs(payload, 0)
            # The checksum guards what is used; a record that the bus has delivered already is only skipped.
            if event.Stamp().Seq() > newer_than and crc32c(payload) != crc:
                raise ProtocolError(f"{self.path}: wrong checksum at offset {self._offset}")
            self._offset += 8 + length
            if event.Stamp().Seq() > newer_than:
                return event


# ------------------------------------------------------------------------------------------------ the bus

class Bus:
    """Both ends: events() hears all that is said, line() states something under our own name."""

    def __init__(self, run, name):
        self.run, self.name = run, name
        self.last_seq = self._known = self.repaired = 0
        self._held = None  # came over the bus while an older one was still missing
        self._log = Log(run.log)
        self._client = f"{name}-{os.getpid()}-{time.time_ns()}"
        context = zmq.Context.instance()
        self._in = context.socket(zmq.SUB)
        self._in.setsockopt(zmq.SUBSCRIBE, b"")
        self._in.setsockopt(zmq.LINGER, 0)
        self._in.connect(f"ipc://{run.bus}/events.sock")
        self._out = context.socket(zmq.PUSH)
        self._out.setsockopt(zmq.SNDTIMEO, 1000)
        self._out.setsockopt(zmq.LINGER, 2000)
        self._out.connect(f"ipc://{run.bus}/ingest.sock")
        self._join()

    # -- hearing

    def next(self, timeout_ms=0):
        """The next event, in order, none missing; None when there is none within the time."""
        until = time.monotonic() + timeout_ms / 1000
        while True:
            event = self._next_now()
            if event is None:
                if not self._in.poll(max(0, int((until - time.monotonic()) * 1000))):
                    return None
                continue
            if event.PayloadType() == Payload.ClientRefused:
                self._check_refusal(event)
            return event

    def _next_now(self):
        while True:
            if self._held is not None:
                seq = self._held.Stamp().Seq()
                if seq <= self.last_seq:
                    self._held = None
                elif seq == self.last_seq + 1:
                    event, self._held, self.last_seq = self._held, None, seq
                    return event
            if self._known > self.last_seq:
                event = self._log.next(newer_than=self.last_seq)
                if event is None or event.Stamp().Seq() != self.last_seq + 1:
                    raise ProtocolError(f"event {self.last_seq + 1} was announced but is not in the log")
                self.last_seq += 1
                self.repaired += 1
                return event
            try:
                message = self._in.recv(zmq.NOBLOCK)
            except zmq.Again:
                return None
            if len(message) == 8:  # the hub's heartbeat: the newest number
                self._known = max(self._known, struct.unpack("<Q", message)[0])
                continue
            self._held = Event.Event.GetRootAs(message, 0)
            self._known = max(self._known, self._held.Stamp().Seq())

    def _check_refusal(self, event):
        refusal = ClientRefused.ClientRefused()
        refusal.Init(event.Payload().Bytes, event.Payload().Pos)
        if (refusal.Client() or b"").decode() == self._client:
            raise Refused((refusal.Reason() or b"").decode(errors="replace"))

    # -- stating

    def line(self, text):
        """One line under our name: in the log, the report and the timeline."""
        builder = flatbuffers.Builder(256)
        offset = builder.CreateString(text)
        CollectorLine.CollectorLineStart(builder)
        CollectorLine.CollectorLineAddText(builder, offset)
        self._publish(builder, Payload.CollectorLine, CollectorLine.CollectorLineEnd(builder))

    def _join(self):
        builder = flatbuffers.Builder(256)
        name, client = builder.CreateString(self.name), builder.CreateString(self._client)
        ClientJoined.ClientJoinedStart(builder)
        ClientJoined.ClientJoinedAddName(builder, name)
        ClientJoined.ClientJoinedAddPid(builder, os.getpid())
        ClientJoined.ClientJoinedAddSchemaVersion(builder, SCHEMA_VERSION)
        ClientJoined.ClientJoinedAddClient(builder, client)
        self._publish(builder, Payload.ClientJoined, ClientJoined.ClientJoinedEnd(builder))

    def _publish(self, builder, payload_type, payload):
        run_id, source = builder.CreateString(self.run.run_id), builder.CreateString(self.name)
        Event.EventStart(builder)
        # A struct is inline: build it between Start and End. The hub gives seq; guest_ns 0 is "unknown".
        Event.EventAddStamp(builder, Stamp.CreateStamp(builder, 0, max(0, self.run.elapsed_ns()), 0, 0, 0))
        Event.EventAddRunId(builder, run_id)
        Event.EventAddSource(builder, source)
        Event.EventAddPayloadType(builder, payload_type)
        Event.EventAddPayload(builder, payload)
        builder.Finish(Event.EventEnd(builder), b"KTEV")
        while True:
            try:
                self._out.send(bytes(builder.Output()))
                return
            except zmq.Again:  # the hub holds us back: nothing is ever dropped
                if not self.run.alive():
                    raise ProtocolError("the run is over; the hub takes nothing more") from None

    def close(self):
        self._in.close()
        self._out.close()
