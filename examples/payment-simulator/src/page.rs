//! The figures as a page for people: no script, nothing loaded from elsewhere, fresh every two seconds.

use crate::figures::Figures;

pub(crate) fn render(figures: &Figures) -> String {
    let rows: String = rows(figures).map(|(name, count)| row(name, count)).concat();
    let (verdict, class) = match figures.double_charges {
        0 => ("nobody was charged twice", "good"),
        _ => ("somebody was charged twice", "bad"),
    };
    format!(
        r#"<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<meta http-equiv="refresh" content="2">
<title>Payment simulator</title>
<style>
  body {{ font: 16px/1.5 system-ui, sans-serif; max-width: 32rem; margin: 3rem auto; padding: 0 1rem;
         color: #222; background: #fff; }}
  table {{ border-collapse: collapse; width: 100%; }}
  th, td {{ padding: .4rem .2rem; border-bottom: 1px solid #ddd; text-align: left; font-weight: normal; }}
  td {{ text-align: right; font-variant-numeric: tabular-nums; }}
  p {{ padding: .5rem .8rem; border-radius: .3rem; }}
  .good {{ background: #e4f4e8; }}
  .bad {{ background: #fbe3e1; font-weight: bold; }}
</style>
</head>
<body>
<h1>Payment simulator</h1>
<table>
{rows}</table>
<p class="{class}">{verdict}</p>
</body>
</html>
"#
    )
}

fn rows(figures: &Figures) -> [(&'static str, u64); 7] {
    [
        ("Calls", figures.calls),
        ("Retries seen", figures.retries_seen),
        ("Charges succeeded", figures.succeeded),
        ("Charges declined", figures.declined),
        ("Refunds", figures.refunds),
        ("Cancelled before charge", figures.cancelled_before_charge),
        ("Double charges", figures.double_charges),
    ]
}

fn row(name: &str, count: u64) -> String {
    format!("<tr><th scope=\"row\">{name}</th><td>{count}</td></tr>\n")
}
