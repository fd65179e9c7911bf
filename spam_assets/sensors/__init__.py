"""Sensors and the schedule: each asks plain functions what to do and tells Dagster the answer.

| name | acts when | by default |
|---|---|---|
| `new_mail` | a file of the landing zone is new or changed | off |
| `incoming_mail` | a file of mail without labels is new or changed | off |
| `retraining` | a newer day was scored and the rule says so | off |
| `train_daily` (schedule) | it is three o'clock, UTC | off |
| `lost_days` | a network, a busy server or a lock failed a day of the two above | on |
| `dead_runs` | a run's process is gone | on |
| `abandoned_mlflow_runs` | a run failed without any step failing | on |
| `alert_failures` | a run failed | on with a channel |
| `alerts` | there is a decision on a champion, missing mail, a landing problem | on with a channel |

`SPAM_ASSETS_AUTOMATE=true` turns the first three on. They never fire for the same reason: `new_mail` makes everything
up to the champion report and trains nothing, `incoming_mail` scores what has no labels, `retraining` trains and reads
no landing zone.
"""

from spam_assets.sensors.dead_runs import abandoned_mlflow_runs_sensor, dead_runs_sensor
from spam_assets.sensors.failure_alerts import alert_failures_sensor
from spam_assets.sensors.incoming_mail import incoming_mail_sensor
from spam_assets.sensors.lost_days import lost_days_sensor
from spam_assets.sensors.new_mail import new_mail_sensor
from spam_assets.sensors.news_alerts import alerts_sensor
from spam_assets.sensors.retraining import retraining_sensor, train_daily_schedule

SENSORS = [
    new_mail_sensor,
    incoming_mail_sensor,
    retraining_sensor,
    lost_days_sensor,
    dead_runs_sensor,
    abandoned_mlflow_runs_sensor,
    alert_failures_sensor,
    alerts_sensor,
]
SCHEDULES = [train_daily_schedule]
