import { trackerOptions, validateTracker } from '../lib/event/engagement/options.ts'
import { startTracker } from '../lib/event/engagement/tracker.ts'
import { run } from '../lib/process/run.ts'

const manual = `
Answers the links and pixels in mails, and records who opened and clicked.

A link is verified by its signature alone: it works as long as its key is known, whatever becomes of Redis. Its event
is in Redis, or on disk in --spill-dir, before the answer is sent.

  GET|HEAD /TOKEN   pixel: 200 image/gif; click: 302 to its target; unsubscribe: a page with a button
  POST /TOKEN       unsubscribe (RFC 8058): 200
  GET /robots.txt   nothing here is for robots
  all else          4xx

SIGHUP reads --link-keys, --geoip-db and --apple-relays anew. docs/tracker.md has answers, limits and verdicts in full.
`

await run({
  name: 'tracker',
  manual,
  options: trackerOptions,
  validate: validateTracker,
  start: startTracker,
})
