import { feederOptions, validateFeeder } from '../lib/event/upload/feeder-options.ts'
import { startFeeder } from '../lib/event/upload/start-feeder.ts'
import { run } from '../lib/process/run.ts'

const manual = `
Takes events from the queue in Redis, adds what is known of their messages, and uploads them in batches.

The key of the sparkpost destination comes from the environment variable SPARKPOST_API_KEY_INGEST or from --api-key-file.
An event leaves the queue after the service took it over, or after it was written to --dead-letter-dir with the reason.
While the service is away or refuses the key, events stay in the queue; /health says so.

Several feeders share one queue without further configuration. SIGTERM uploads what is collected and leaves the rest in
the queue. SIGHUP reads the key anew and tries at once. docs/feeder.md has formats, limits and answers in full.

  feeder                         with SPARKPOST_API_KEY_INGEST set
  feeder --destination webhook --endpoint https://example.com/events --webhook-secret-file FILE
  feeder --replay FILE           sends the events of a dead letter file again, then ends
`

await run({
  name: 'feeder',
  manual,
  options: feederOptions,
  validate: validateFeeder,
  start: startFeeder,
})
