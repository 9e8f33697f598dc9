/** Wires the console; `--help` prints the manual below. */
import { startConsole, validateConsole } from '../lib/console/console.ts'
import { consoleOptions } from '../lib/console/options.ts'
import { run } from '../lib/process/run.ts'

await run({
  name: 'console',
  manual: `
A local stand-in for the services that events are uploaded to, and for the recipients of mail.

It answers SparkPost Events Ingest (POST /api/v1/ingest/events) and SendPost's custom-SMTP event
ingestion (POST /api/v1/tpsp/custom-smtp/events), validates events as these services document it, and
keeps them in a database of its own. An SMTP server beside it catches every mail and sends nothing.

GET /                 latest events and mails, for people
GET /api/events       events as NDJSON, newest last: ?type= ?message_id= ?recipient= ?since= ?after= ?limit=
GET /api/mailbox      mails as a JSON array, newest last: ?to= ?since= ?limit=
GET /api/mailbox/ID   a mail exactly as it was received

Without --api-key any key that is not empty is accepted: this is for trying things out on one machine,
and the console then listens on loopback addresses only. The manual of formats and limits is docs/console.md.`,
  options: consoleOptions,
  validate: validateConsole,
  start: startConsole,
})
