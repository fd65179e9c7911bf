"""The sensor incoming_mail: files of mail without labels are scored, each content once."""

from pathlib import Path

import dagster as dg

from spam_assets.sensors.incoming_mail import incoming_mail_sensor
from spam_assets.sensors.new_mail import new_mail_sensor
from spam_assets.settings import Settings
from spam_assets_tests.conftest import day_text
from spam_assets_tests.sensors.ticks import land, say, tick, write_old


def requested(result: dg.SensorResult) -> list[str | None]:
    return [request.partition_key for request in result.run_requests or []]


def test_each_sensor_asks_for_its_own_files_only(
    watched: Settings, instance: dg.DagsterInstance, landing: Path
) -> None:
    land(landing, day_text(0))
    write_old(landing / f"incoming-{day_text(1)}.csv", "text\nhello\n")
    labelled, incoming = tick(new_mail_sensor, instance), tick(incoming_mail_sensor, instance)
    assert (requested(labelled), requested(incoming)) == ([day_text(0)], [day_text(1)])
    assert say(tick(incoming_mail_sensor, instance, incoming.cursor)) == "nothing new in 1 landed days"
    write_old(landing / f"incoming-{day_text(1)}.csv", "text\nhello\nagain\n")
    assert requested(tick(incoming_mail_sensor, instance, incoming.cursor)) == [day_text(1)]
    assert requested(tick(new_mail_sensor, instance, labelled.cursor)) == []
    assert (incoming_mail_sensor.job_name, new_mail_sensor.job_name) == ("score_job", "mail_job")
