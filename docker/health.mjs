// Healthy is what answers an SSLRequest: pgsplit accepts clients and its event loop turns.
import { connect } from 'node:net'

const port = Number(process.env.PGSPLIT_PORT ?? 6432)
const socket = connect(port, '127.0.0.1', () => {
  const request = Buffer.alloc(8)
  request.writeInt32BE(8, 0)
  request.writeInt32BE(80877103, 4)
  socket.write(request)
})
socket.once('data', (answer) => process.exit(/^[SN]/.test(answer.toString('latin1')) ? 0 : 1))
socket.once('error', () => process.exit(1))
socket.once('close', () => process.exit(1))
setTimeout(() => process.exit(1), 2500)
