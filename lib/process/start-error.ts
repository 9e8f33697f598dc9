/** A reason not to start that is the user's to mend: logged as one line, without a stack. */
export class StartError extends Error {
  override readonly name = 'StartError'
}
