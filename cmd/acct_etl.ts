import { compiledBefore } from '../lib/process/compiled-before.ts'
import { keepHeapSmall } from '../lib/process/small-heap.ts'

const manual = `
Reads PowerMTA's accounting records and keeps what they say of each message in Redis, for the feeder.

PowerMTA starts it for an accounting pipe, as config/powermta/config.example shows:

  <acct-file |/usr/bin/node /opt/mta-tracking/cmd/acct_etl.ts --logfile /var/log/pmta/acct_etl.log>
    records d
    record-fields d rcpt,header_x-sp-message-id,header_x-sp-subaccount-id
  </acct-file>

A line that can't be used goes to --reject-file with its reason; the rest goes on. While Redis is away records wait in
--spill-dir; when that is full the pipe is held. At the end of its input, and on SIGTERM, it stores what it has and exits
with 0. --infile reads a moved accounting file, as often as you like: nothing is counted twice. docs/acct_etl.md has
columns, mappings and limits in full.
`

keepHeapSmall({ growthPercent: 25 })
const [{ acctEtlOptions }, { startAcctEtl }, { run }] = await compiledBefore(() =>
  Promise.all([
    import('../lib/event/accounting/options.ts'),
    import('../lib/event/accounting/start-acct-etl.ts'),
    import('../lib/process/run.ts'),
  ]),
)
await run({ name: 'acct_etl', manual, options: acctEtlOptions, start: startAcctEtl })
