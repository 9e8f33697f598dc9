/** A consumer to be killed: takes events, tells their entry ids, one a line, and never has any done with. */
import { hooks, openConsumer } from './queue-under-test.ts'

const [url = '', name = '', leaseMs = ''] = process.argv.slice(2)
const consumer = await openConsumer(hooks(url), name, Number(leaseMs))
for (;;) {
  for (const { event } of await consumer.take(20, 1_000)) process.stdout.write(`${event?.id}\n`)
}
