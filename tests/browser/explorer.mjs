// Signs an administrator in from Swagger UI and asks an operation with the token, in headless Chromium.
//
//   JHE_URL      where the server answers; it knows the client api-explorer (docs/operating.md)
//   SCREENSHOTS  where the picture goes   (./screenshots)
//   CHROMIUM     the browser to start     (/usr/bin/chromium)

import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { chromium } from 'playwright-core';

const BASE = (process.env.JHE_URL || 'http://localhost:8000').replace(/\/+$/, '');
const SHOTS = process.env.SCREENSHOTS || 'screenshots';
const root = typeof process.getuid === 'function' && process.getuid() === 0;

mkdirSync(SHOTS, { recursive: true });
const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM || '/usr/bin/chromium',
  headless: true,
  args: [...(root ? ['--no-sandbox'] : []), '--disable-gpu', '--no-first-run', '--disable-background-networking'],
});
try {
  const context = await browser.newContext({ viewport: { width: 1280, height: 1000 } });
  const page = await context.newPage();
  const complaints = [];
  page.on('console', (message) => message.type() === 'error' && complaints.push(message.text()));
  page.on('pageerror', (error) => complaints.push(String(error)));

  await page.goto(`${BASE}/api/v1/schema/swagger-ui/`);
  await page.getByRole('button', { name: 'Authorize' }).first().click();
  const dialog = page.locator('.auth-container', { hasText: 'authorizationCode' });
  const popup = context.waitForEvent('page');
  await dialog.locator('button.authorize').click();
  const window = await popup;
  await window.getByLabel('Email Address').fill('admin@example.com');
  await window.getByLabel('Password').fill('Jhe1234!');
  const closed = window.waitForEvent('close');
  await window.getByRole('button', { name: 'Log In' }).click();
  const allow = window.getByRole('button', { name: 'Authorize' });
  await Promise.race([allow.click().catch(() => {}), closed]);
  await closed;
  await dialog.getByText('Logout').waitFor();
  await dialog.getByText('Close').click();

  const operation = page.locator('#operations-users-users_list');
  await operation.locator('.opblock-summary-control').click();
  await operation.getByRole('button', { name: 'Try it out' }).click();
  await operation.getByRole('button', { name: 'Execute' }).click();
  await operation.locator('.live-responses-table .response-col_status', { hasText: '200' }).first().waitFor();
  await page.screenshot({ path: join(SHOTS, 'explorer.png') });
  if (complaints.length > 0) throw new Error(complaints.join('\n'));
  console.log('ok    Swagger UI signs in and asks');
} finally {
  await browser.close();
}
