import { render } from 'preact'
import 'uplot/dist/uPlot.min.css'
import './style.css'
import { Api } from './api.ts'
import { App } from './app.tsx'
import { Live } from './live.ts'
import { applyTheme, storedTheme } from './theme.ts'

applyTheme(storedTheme())
const live = new Live(new Api())
live.start()
const place = document.getElementById('app')
if (place !== null) render(<App live={live} />, place)
