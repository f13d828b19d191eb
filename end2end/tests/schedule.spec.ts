/** Schedules with and without WASM: their form, their triggers, and the time zone in which they run. */
import { edit, expect, field, isPlain, makeTask, makeWebhook, message, open, save, seeTitle, signIn, submit, test } from './fixtures.js';
import type { Page } from '@playwright/test';

const card = (page: Page) => page.getByRole('region', { name: 'When it runs' });
const runs = (page: Page) => page.getByRole('list', { name: 'Next runs' }).getByRole('listitem');
const weekdays = ['Mon', 'Tue', 'Wed', 'Thu', 'Fri', 'Sat', 'Sun'];
const notice = (page: Page, text: string) => page.getByRole('status').filter({ hasText: text });

/** Presses a button of the page's commands. */
const press = (page: Page, name: string) => page.getByRole('navigation', { name: 'Commands' }).getByRole('button', { name }).click();

test('a schedule is created, changed, triggered and deleted', async ({ page, hook }) => {
  await signIn(page, hook);
  await makeWebhook(page, hook, 'Chat');
  await makeTask(page, hook, 'Tell', 'Chat', 'by the clock');
  await open(page, hook, '/schedules/new');
  await field(page, 'Name').fill('Reports');
  await field(page, 'Description').fill('first\nsecond');
  await field(page, 'Repeat Every').fill('2');
  await field(page, 'Unit').selectOption('Week(s)');
  await field(page, 'Start Date').fill('2030-01-02');
  await field(page, 'At').fill('07:05');
  if (!isPlain()) {
    await expect(card(page)).toContainText('Every 2 weeks on Wednesday at 07:05, from 2030-01-02.');
    await expect(runs(page)).toHaveCount(5);
    await expect(card(page)).toContainText('Time zone: UTC');
  }
  await save(page, 'Schedule: Reports');
  await expect(card(page)).toContainText('Every 2 weeks on Wednesday at 07:05, from 2030-01-02.');
  await expect(runs(page)).toHaveCount(5);
  await expect(runs(page).nth(1)).toContainText('Wed, 16 Jan 2030 07:05:00 UTC');

  await edit(page);
  await expect(field(page, 'Description')).toHaveValue('first\nsecond');
  await expect(field(page, 'Start Date')).toHaveValue('2030-01-02');
  await field(page, 'Unit').selectOption('Day(s)');
  await field(page, 'Repeat Every').fill('1');
  for (const day of weekdays.slice(0, 6)) await field(page, day).uncheck();
  await field(page, 'Never Ends').uncheck();
  await field(page, 'End Date').fill('2030-01-20');
  await save(page, 'Schedule: Reports');
  await expect(card(page)).toContainText('Every Sunday at 07:05, from 2030-01-02 until 2030-01-20.');
  await expect(runs(page)).toHaveText([/^Sun, 06 Jan/, /^Sun, 13 Jan/, /^Sun, 20 Jan/]);

  await page.getByRole('link', { name: 'New Trigger' }).click();
  await seeTitle(page, 'New Schedule Trigger');
  await submit(page);
  await expect(await message(page, 'Task')).toContainText('Choose a task');
  await field(page, 'Task').selectOption('Tell');
  await submit(page);
  await expect(notice(page, 'Saved.')).toBeVisible();
  await press(page, 'Trigger Now');
  await expect(notice(page, 'Triggered.')).toBeVisible();
  await expect.poll(() => hook.received().map((request) => request.body)).toEqual(['by the clock']);

  await press(page, 'Delete…');
  await page.getByRole('dialog').getByRole('button', { name: 'Delete schedule' }).click();
  await expect(page.getByRole('alert')).toContainText('Nothing was deleted');
  await page.getByRole('alert').getByRole('link', { name: 'Tell' }).click();
  await seeTitle(page, 'Task: Tell');
  const triggers = page.getByRole('region', { name: 'Schedule Triggers' });
  await expect(triggers).toContainText('Every Sunday at 07:05');
  await triggers.getByRole('button', { name: 'Disable' }).click();
  await expect(triggers).toContainText('Disabled');
  await triggers.getByRole('button', { name: 'Delete' }).click();
  await triggers.getByRole('dialog', { name: /^Delete the trigger of/ }).getByRole('button', { name: 'Delete' }).click();
  await expect(triggers).toContainText('No schedule starts it yet.');

  await open(page, hook, '/schedules');
  await page.getByRole('link', { name: 'Reports' }).click();
  await press(page, 'Delete…');
  await page.getByRole('dialog').getByRole('button', { name: 'Delete schedule' }).click();
  await expect(notice(page, 'Deleted.')).toBeVisible();
  await expect(page.getByRole('link', { name: 'Reports' })).toHaveCount(0);
});

test('a schedule is triggered from a task, and the form knows the task', async ({ page, hook }) => {
  await signIn(page, hook);
  await makeWebhook(page, hook, 'Chat');
  await makeTask(page, hook, 'Tell', 'Chat');
  await page.getByRole('region', { name: 'Counts' }).getByRole('link', { name: 'New' }).last().click();
  await seeTitle(page, 'New Schedule Trigger');
  await expect(page.getByText('Starts the task Tell.')).toBeVisible();
  await submit(page);
  await expect(await message(page, 'Schedule')).toContainText('Choose a schedule');
  await expect(page.getByText('Starts the task Tell.')).toBeVisible();
  await field(page, 'Schedule').selectOption('Hourly');
  await submit(page);
  await seeTitle(page, 'Task: Tell');
  await expect(page.getByRole('region', { name: 'Schedule Triggers' })).toContainText('Hourly');
  await open(page, hook, '/triggers/new?task=1');
  await field(page, 'Schedule').selectOption('Hourly');
  await submit(page);
  await expect(await message(page, 'Schedule')).toBeVisible();
});

test('the form shows only the fields of the chosen unit', async ({ page, hook }) => {
  await signIn(page, hook);
  await open(page, hook, '/schedules/new');
  const shown = async (labels: string[]) => {
    for (const label of ['Repeat Every', 'Mon', 'Day of the Month', 'All Day', 'Never Ends', 'End Date', 'From']) {
      await expect(field(page, label), label).toBeVisible({ visible: labels.includes(label) });
    }
    await expect(field(page, 'Start Date')).toBeVisible();
  };
  await shown(['Repeat Every', 'Mon', 'Never Ends']);
  await field(page, 'Unit').selectOption('Minute(s)');
  await shown(['Repeat Every', 'All Day', 'Never Ends']);
  await field(page, 'All Day').uncheck();
  await field(page, 'Never Ends').uncheck();
  await shown(['Repeat Every', 'All Day', 'From', 'Never Ends', 'End Date']);
  await field(page, 'Unit').selectOption('Month(s)');
  await shown(['Repeat Every', 'Day of the Month', 'Never Ends', 'End Date']);
  await field(page, 'Unit').selectOption('Does Not Repeat');
  await shown([]);
});

test('a refused schedule shows a message per wrong field and keeps typed values', async ({ page, hook }) => {
  await signIn(page, hook);
  await open(page, hook, '/schedules/new');
  await field(page, 'Name').fill('x'.repeat(65));
  await field(page, 'Description').fill('kept');
  await field(page, 'Repeat Every').fill('1001');
  await field(page, 'Start Date').fill('');
  await field(page, 'At').fill('');
  for (const day of weekdays) await field(page, day).uncheck();
  await submit(page);
  await expect(await message(page, 'Name')).toContainText('64 are the most');
  await expect(await message(page, 'Repeat Every')).toContainText('1000');
  await expect(page.getByText('Check at least one weekday.').first()).toBeVisible();
  await expect(await message(page, 'Start Date')).toContainText('Enter a date');
  await expect(await message(page, 'At')).toContainText('Enter a time');
  await expect(page.getByText('5 fields need attention')).toBeVisible();
  await expect(field(page, 'Description')).toHaveValue('kept');
  await expect(field(page, 'Repeat Every')).toHaveValue('1001');
  await expect(field(page, 'Mon')).not.toBeChecked();

  // Fields that the unit does not have are not checked.
  await field(page, 'Unit').selectOption('Hour(s)');
  await field(page, 'Name').fill('Often');
  await field(page, 'Repeat Every').fill('1');
  await field(page, 'Start Date').fill('2030-01-02');
  await field(page, 'At').fill('00:30');
  await field(page, 'All Day').uncheck();
  await field(page, 'From').fill('08:00');
  await field(page, 'To').fill('08:00');
  await field(page, 'Never Ends').uncheck();
  await field(page, 'End Date').fill('2030-01-01');
  await submit(page);
  await expect(await message(page, 'To')).toContainText('This window is empty.');
  await expect(await message(page, 'End Date')).toContainText('before the start date');
  await expect(page.getByText('2 fields need attention')).toBeVisible();
  await field(page, 'To').fill('10:00');
  await field(page, 'Never Ends').check();
  await save(page, 'Schedule: Often');
  await expect(card(page)).toContainText('Every hour from 08:00 to 10:00');
});

test('a schedule that never runs is refused, and the form says why before', async ({ page, hook }) => {
  await signIn(page, hook);
  await open(page, hook, '/schedules/new');
  await field(page, 'Name').fill('Over');
  await field(page, 'Unit').selectOption('Does Not Repeat');
  await field(page, 'Start Date').fill('2020-01-01');
  if (!isPlain()) {
    await expect(card(page).getByRole('link', { name: 'Start Date' })).toBeVisible();
    await expect(runs(page)).toHaveCount(0);
  }
  await submit(page);
  await expect(await message(page, 'Start Date')).toBeVisible();
  await expect(field(page, 'Name')).toHaveValue('Over');
});

test('weekdays are chosen by the keyboard', async ({ page, hook }) => {
  await signIn(page, hook);
  await open(page, hook, '/schedules/new');
  const group = page.getByRole('group', { name: 'Weekdays' });
  await expect(group.getByRole('switch', { checked: true })).toHaveCount(7);
  await field(page, 'Unit').focus();
  for (const day of weekdays) {
    await page.keyboard.press('Tab');
    await expect(field(page, day)).toBeFocused();
    if (day !== 'Wed') await page.keyboard.press('Space');
  }
  await expect(group.getByRole('switch', { checked: true })).toHaveCount(1);
  if (!isPlain()) await expect(card(page)).toContainText('Every Wednesday at 00:00');
});

test('no field of the form is wider than a phone', async ({ page, hook }) => {
  await signIn(page, hook);
  await page.setViewportSize({ width: 360, height: 800 });
  await open(page, hook, '/schedules/new');
  await field(page, 'Never Ends').uncheck();
  for (const unit of ['Minute(s)', 'Day(s)', 'Week(s)', 'Month(s)', 'Does Not Repeat']) {
    await field(page, 'Unit').selectOption(unit);
    if (unit === 'Minute(s)') await field(page, 'All Day').uncheck();
    if (!isPlain()) await expect(card(page)).toContainText(/Every|Once|Enter/);
    const widest = await page.evaluate(() => document.documentElement.scrollWidth);
    expect(widest, unit).toBeLessThanOrEqual(360);
  }
});

test('a schedule changed by another person is refused with both versions', async ({ page, hook, context }) => {
  await signIn(page, hook);
  await open(page, hook, '/schedules/1/edit');
  const other = await context.newPage();
  await open(other, hook, '/schedules/1/edit');
  await field(other, 'Description').fill('theirs');
  await submit(other);
  await expect(other.getByText('theirs')).toBeVisible();
  await other.close();
  await field(page, 'Description').fill('mine');
  await submit(page);
  await expect(page.getByRole('alert')).toContainText('theirs');
  await submit(page);
  await expect(page.getByText('mine')).toBeVisible();
});

test('an administrator changes the time zone, and schedules follow', async ({ page, hook }) => {
  await signIn(page, hook);
  await open(page, hook, '/time-zone');
  await expect(field(page, 'Time Zone')).toHaveValue('UTC');
  await field(page, 'Time Zone').fill('Europe/Nowhere');
  await submit(page);
  await expect(await message(page, 'Time Zone')).toContainText('Europe/');
  await expect(field(page, 'Time Zone')).toHaveValue('Europe/Nowhere');
  await field(page, 'Time Zone').fill('Asia/Tokyo');
  await submit(page);
  await expect(notice(page, 'Saved.')).toBeVisible();
  await open(page, hook, '/schedules/1');
  await expect(card(page)).toContainText('Time zone: Asia/Tokyo');
  await expect(runs(page).first()).toContainText('JST');

  await page.goto('about:blank');
  await page.context().clearCookies();
  await signIn(page, hook, 'olga');
  await open(page, hook, '/time-zone');
  await expect(page.getByRole('main')).toContainText('Asia/Tokyo');
  await expect(page.getByRole('button', { name: 'Submit' })).toHaveCount(0);
});
