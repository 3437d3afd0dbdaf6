"""What a run's record looks like to a reader: page, table and JUnit file. Nothing is measured."""
