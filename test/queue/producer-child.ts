/** A producer to be killed: pushes events as fast as they are safe and tells each that is, one JSON text a line. */
import { writeSync } from 'node:fs'
import { hooks, newEvent, openProducer } from './queue-under-test.ts'

const [url = '', spillDir = ''] = process.argv.slice(2)
const { push } = await openProducer(hooks(url), { spillDir })
const writer = async () => {
  for (;;) {
    const event = newEvent()
    if ((await push(event)) !== 'dropped') writeSync(1, `${JSON.stringify(event)}\n`)
  }
}
await Promise.all(Array.from({ length: 16 }, writer))
