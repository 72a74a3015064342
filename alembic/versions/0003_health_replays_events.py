"""health replays events"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

# An instant as the API writes it, whatever the time zone of the session.
INSTANT_TEXT = """
CREATE FUNCTION instant_text(at timestamptz) RETURNS text LANGUAGE sql STABLE PARALLEL SAFE AS
$$ SELECT (to_jsonb(at AT TIME ZONE 'UTC') #>> '{}') || 'Z' $$
"""

# A row of the ledger for each destination that is to hear of an event, in the transaction of what happened.
# The id is a UUIDv7, as `new_id` makes them; PostgreSQL has a function for that from version 18 on only.
PUBLISH_EVENT = """
CREATE FUNCTION publish_event(of_project uuid, by_clock uuid, news text, source text, facts jsonb, not_to uuid)
RETURNS void LANGUAGE sql AS $$
  INSERT INTO deliveries (
    project_id, id, destination_id, clock, trigger, scheduled_for, status, message_id, next_attempt_at, event
  )
  SELECT s.project_id,
    encode(set_bit(set_bit(overlay(uuid_send(gen_random_uuid()) PLACING
      substring(int8send(floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint) FROM 3) FROM 1 FOR 6
    ), 52, 1), 53, 1), 'hex')::uuid,
    s.destination_id, by_clock, 'event', clock_now(), 'pending',
    'msg_' || left(encode(sha256(convert_to(source || '/' || news, 'UTF8')), 'hex'), 32),
    clock_now(), jsonb_build_object('type', news, 'timestamp', instant_text(clock_now()), 'data', facts)
  FROM event_subscriptions AS s
  JOIN destinations AS t ON t.project_id = s.project_id AND t.id = s.destination_id
  WHERE s.project_id = of_project AND news = ANY (s.types) AND t.deleted_at IS NULL
    AND s.destination_id IS DISTINCT FROM not_to
  ON CONFLICT (project_id, destination_id, message_id) WHERE trigger = 'event' DO NOTHING
$$
"""

TELL_OF_DELIVERY = """
CREATE FUNCTION tell_of_delivery() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
  news text := 'delivery.' || NEW.status;
BEGIN
  IF NOT EXISTS (
    SELECT 1 FROM event_subscriptions AS s WHERE s.project_id = NEW.project_id AND news = ANY (s.types)
  ) THEN
    RETURN NULL;
  END IF;
  PERFORM publish_event(NEW.project_id, NEW.clock, news, NEW.id::text, jsonb_build_object(
    'delivery_id', NEW.id, 'notification_id', NEW.notification_id,
    'external_id', (SELECT n.external_id FROM notifications AS n
      WHERE n.project_id = NEW.project_id AND n.id = NEW.notification_id),
    'destination_id', NEW.destination_id, 'destination', t.name, 'kind', t.kind,
    'scheduled_for', instant_text(NEW.scheduled_for), 'slot_count', NEW.slot_count,
    'range_end', instant_text(NEW.range_end), 'trigger', NEW.trigger, 'message_id', NEW.message_id,
    'status', NEW.status, 'reason', NEW.reason, 'attempts_made', NEW.attempts_made,
    'last_error', a.error, 'last_status_code', a.status_code, 'finished_at', instant_text(NEW.finished_at)
  ), NULL)
  FROM destinations AS t
  LEFT JOIN attempts AS a ON a.project_id = NEW.project_id AND a.delivery_id = NEW.id
    AND a.number = NEW.attempts_made
  WHERE t.project_id = NEW.project_id AND t.id = NEW.destination_id;
  RETURN NULL;
END $$
"""

# The condition keeps the function from being called on the way of all good deliveries; of events and test
# messages nothing is told, so that there is no circle.
DELIVERY_TRIGGER = """
CREATE TRIGGER tell AFTER INSERT OR UPDATE OF status ON deliveries FOR EACH ROW
WHEN (
  NEW.trigger NOT IN ('test', 'event') AND (
    NEW.status IN ('failed', 'missed', 'held', 'unknown', 'skipped', 'canceled')
    OR (NEW.status = 'delivered' AND NEW.watched)
  )
)
EXECUTE FUNCTION tell_of_delivery()
"""

TELL_OF_DESTINATION = """
CREATE FUNCTION tell_of_destination() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  PERFORM publish_event(
    NEW.project_id, '00000000-0000-0000-0000-000000000000', 'destination.blocked',
    NEW.id::text || '/' || instant_text(NEW.blocked_at), jsonb_build_object(
      'destination_id', NEW.id, 'destination', NEW.name, 'kind', NEW.kind,
      'blocked_at', instant_text(NEW.blocked_at), 'reason', NEW.blocked_reason,
      'failing_since', instant_text(NEW.failing_since)
    ), NEW.id)
  FROM projects AS p WHERE p.id = NEW.project_id AND p.mode = 'live';
  RETURN NULL;
END $$
"""

DESTINATION_TRIGGER = """
CREATE TRIGGER tell AFTER UPDATE OF blocked_at ON destinations FOR EACH ROW
WHEN (OLD.blocked_at IS NULL AND NEW.blocked_at IS NOT NULL)
EXECUTE FUNCTION tell_of_destination()
"""


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.add_column(
        "destinations",
        sa.Column("on_unknown", sa.Text(), server_default=sa.text("'retry'"), nullable=False),
    )
    op.create_check_constraint("on_unknown", "destinations", "on_unknown IN ('retry', 'hold')")
    op.add_column("destinations", sa.Column("retry_schedule", postgresql.ARRAY(sa.Float()), nullable=True))
    op.add_column("destinations", sa.Column("failing_since", sa.DateTime(timezone=True), nullable=True))
    op.add_column(
        "destinations",
        sa.Column("failed_deliveries", sa.SmallInteger(), server_default=sa.text("0"), nullable=False),
    )
    op.create_index(
        "ix_destinations_failing",
        "destinations",
        ["failing_since"],
        unique=False,
        postgresql_where=sa.text("failing_since IS NOT NULL AND blocked_at IS NULL"),
    )
    op.create_table(
        "event_subscriptions",
        sa.Column("project_id", sa.Uuid(), nullable=False),
        sa.Column("destination_id", sa.Uuid(), nullable=False),
        sa.Column("types", postgresql.ARRAY(sa.Text()), nullable=False),
        sa.ForeignKeyConstraint(
            ["project_id", "destination_id"],
            ["destinations.project_id", "destinations.id"],
            name="fk_event_subscriptions_destination",
        ),
        sa.PrimaryKeyConstraint("project_id", "destination_id", name=op.f("pk_event_subscriptions")),
    )
    op.add_column("deliveries", sa.Column("replay_of", sa.Uuid(), nullable=True))
    op.add_column("deliveries", sa.Column("event", postgresql.JSONB(), nullable=True))
    op.add_column(
        "deliveries", sa.Column("watched", sa.Boolean(), server_default=sa.text("false"), nullable=False)
    )
    op.drop_constraint(op.f("ck_deliveries_trigger"), "deliveries", type_="check")
    op.create_check_constraint(
        "trigger", "deliveries", "trigger IN ('schedule', 'manual', 'replay', 'test', 'event')"
    )
    op.create_check_constraint("event", "deliveries", "(trigger = 'event') = (event IS NOT NULL)")
    op.create_index(
        "uq_deliveries_open_replay",
        "deliveries",
        ["project_id", "replay_of"],
        unique=True,
        postgresql_where=sa.text(
            "replay_of IS NOT NULL AND status IN ('pending', 'sending', 'retrying', 'held', 'unknown')"
        ),
    )
    op.create_index(
        "ix_deliveries_replays",
        "deliveries",
        ["project_id", "replay_of"],
        unique=False,
        postgresql_where=sa.text("replay_of IS NOT NULL"),
    )
    op.create_index(
        "ix_deliveries_open_ends",
        "deliveries",
        ["project_id", "status", "id"],
        unique=False,
        postgresql_where=sa.text("status IN ('failed', 'held', 'unknown')"),
    )
    op.create_index(
        "uq_deliveries_event",
        "deliveries",
        ["project_id", "destination_id", "message_id"],
        unique=True,
        postgresql_where=sa.text("trigger = 'event'"),
    )
    for statement in (
        INSTANT_TEXT,
        PUBLISH_EVENT,
        TELL_OF_DELIVERY,
        DELIVERY_TRIGGER,
        TELL_OF_DESTINATION,
        DESTINATION_TRIGGER,
    ):
        op.execute(statement)


def downgrade() -> None:
    for table in ("deliveries", "destinations"):
        op.execute(f"DROP TRIGGER tell ON {table}")
    for function in ("tell_of_destination()", "tell_of_delivery()"):
        op.execute(f"DROP FUNCTION {function}")
    op.execute("DROP FUNCTION publish_event(uuid, uuid, text, text, jsonb, uuid)")
    op.execute("DROP FUNCTION instant_text(timestamptz)")
    # there is no room for these in the schema before
    op.execute("DELETE FROM deliveries WHERE trigger = 'event'")
    op.drop_index("uq_deliveries_event", table_name="deliveries")
    op.drop_index("ix_deliveries_open_ends", table_name="deliveries")
    op.drop_index("ix_deliveries_replays", table_name="deliveries")
    op.drop_index("uq_deliveries_open_replay", table_name="deliveries")
    op.drop_constraint(op.f("ck_deliveries_event"), "deliveries", type_="check")
    op.drop_constraint(op.f("ck_deliveries_trigger"), "deliveries", type_="check")
    op.create_check_constraint("trigger", "deliveries", "trigger IN ('schedule', 'manual', 'replay', 'test')")
    op.drop_column("deliveries", "watched")
    op.drop_column("deliveries", "event")
    op.drop_column("deliveries", "replay_of")
    op.drop_table("event_subscriptions")
    op.drop_index("ix_destinations_failing", table_name="destinations")
    op.drop_column("destinations", "failed_deliveries")
    op.drop_column("destinations", "failing_since")
    op.drop_column("destinations", "retry_schedule")
    op.drop_constraint(op.f("ck_destinations_on_unknown"), "destinations", type_="check")
    op.drop_column("destinations", "on_unknown")
