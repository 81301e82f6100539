"""Whatever a log signs against the rules is an alarm, and its evidence convinces others."""

from collections import Counter

import pytest

from sentinel.audit.codes import Severity
from sentinel.audit.confirm import verify_evidence
from tests.unit.audit_crimes import CRIMES, Crime
from tests.unit.audit_log import AuditLog
from tests.unit.audit_round import watch


@pytest.mark.parametrize("crime", CRIMES.values(), ids=CRIMES)
def test_a_crime_is_an_alarm_with_evidence(crime: Crime) -> None:
    log = AuditLog(receipts=9)
    watcher = watch(log)
    watcher.round(log)
    assert watcher.codes() == []
    crime.commit(log)
    watcher.round(log)
    found = {(f.place.value, f.code): f for f in watcher.findings}
    finding = found[crime.place, crime.code]
    assert finding.severity is Severity.ALARM
    assert finding.evidence is not None
    confirmed = verify_evidence(finding.evidence, log.policy())
    assert (confirmed.kind, confirmed.code) == (finding.info.proof, crime.code)
    assert confirmed.log_id == log.log_id


@pytest.mark.parametrize("crime", CRIMES.values(), ids=CRIMES)
def test_a_crime_is_found_by_a_first_look_too(crime: Crime) -> None:
    log = AuditLog(receipts=9)
    crime.commit(log)
    watcher = watch(log)
    watcher.round(log)
    found = Counter(watcher.codes())
    assert found[crime.place, crime.code, "alarm"] == 1
