/** A program for the tests of how every process lives: does nothing, in the way its options say. */
import { Counter } from 'prom-client'
import { flag, integer, option, text } from '../../lib/process/option.ts'
import { run } from '../../lib/process/run.ts'
import { joinSiblings } from '../../lib/process/sibling-processes.ts'
import { StartError } from '../../lib/process/start-error.ts'

await run({
  name: 'console',
  manual: 'Does nothing.',
  options: {
    'fail-start': option(flag, { help: 'Refuse to start.', default: 'false' }),
    'hang-start': option(flag, { help: 'Never start.', default: 'false' }),
    'hang-close': option(flag, { help: 'Never close.', default: 'false' }),
    throw: option(flag, { help: 'Throw when started.', default: 'false' }),
    end: option(flag, { help: 'End by itself.', default: 'false' }),
    break: option(flag, { help: 'Find out that it can not go on.', default: 'false' }),
    flood: option(flag, { help: 'Log a lot; a line on standard error tells that it lives.', default: 'false' }),
    processes: option(integer(1, 64), { help: 'Processes, each of which counts itself.', default: '1' }),
    'api-key': option(text, { help: 'A secret.', secret: true }),
  },
  start: async context => {
    const { settings, log, onReload, metrics } = context
    if (settings.failStart) throw new StartError('the sky is down: hold it up')
    if (settings.hangStart) {
      log.info('hanging')
      await new Promise<void>(resolve => setTimeout(resolve, 1e9))
    }
    let reloads = 0
    onReload(() => {
      reloads++
      log.info({ reloads }, 'reloaded')
      if (reloads === 2) throw new Error('bad file')
    })
    const timer = setInterval(() => {
      if (settings.throw) throw new Error('a defect')
      if (!settings.flood) return
      for (let n = 0; n < 100; n++) log.info({ padding: 'x'.repeat(2_000) }, 'flood')
      process.stderr.write('alive\n')
    }, 20)
    new Counter({ name: 'starts_total', help: 'Starts.', registers: [metrics] }).inc()
    const siblings = joinSiblings(context, settings.processes, settings.metricsHostport !== undefined)
    log.info({ pid: process.pid }, 'started')
    return {
      ...(settings.end && { done: Promise.resolve() }),
      ...(settings.break && { done: Promise.reject(new Error('the source is gone')) }),
      close: async () => {
        if (settings.hangClose) await new Promise(() => undefined)
        clearInterval(timer)
        await siblings?.close()
        log.info('closed')
      },
    }
  },
})
